package script

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scram is a client's side of SCRAM-SHA-256 (RFC 5802, 7677): the one method of
// enhanced authentication that brokers have in common. It is of the standard
// library only, so that it shares no mistake with a broker's.
type scram struct {
	user, password string
	bare           string // client-first-message-bare
	signature      string // what the server has to prove with
}

// scramStep is the line `scram first|final CLIENT|wrong CLIENT|check CLIENT`.
func (r *run) scramStep(args []string) error {
	user, password, ok := strings.Cut(r.o.Scram, ":")
	if !ok {
		return fmt.Errorf("%w: no user of SCRAM-SHA-256 is given (-scram)", ErrUndecided)
	}
	if args[0] == "first" {
		nonce := make([]byte, 18)
		_, _ = rand.Read(nonce) // never fails
		r.scram = &scram{user: user, password: password, bare: "n=" + user + ",r=" + base64.StdEncoding.EncodeToString(nonce)}
		r.vars["first"] = "n,," + r.scram.bare
		return nil
	}
	c := r.clients[args[1]]
	if c == nil || c.last == nil || r.scram == nil {
		return errors.New("nothing to answer")
	}
	data, _ := c.last.Get("authd")
	switch args[0] {
	case "final", "wrong":
		if args[0] == "wrong" {
			r.scram.password += "x"
		}
		final, err := r.scram.final(data)
		r.vars["final"] = final
		return err
	case "check":
		if v, ok := strings.CutPrefix(data, "v="); !ok || v != r.scram.signature {
			return fmt.Errorf("the server does not prove that it knows the password: %q", data)
		}
		return nil
	}
	return fmt.Errorf("no scram %q", args[0])
}

// final answers the server's challenge.
func (s *scram) final(challenge string) (string, error) {
	var nonce string
	var salt []byte
	var rounds int
	var errs [2]error
	for _, attr := range strings.Split(challenge, ",") {
		k, v, _ := strings.Cut(attr, "=")
		switch k {
		case "r":
			nonce = v
		case "s":
			salt, errs[0] = base64.StdEncoding.DecodeString(v)
		case "i":
			rounds, errs[1] = strconv.Atoi(v)
		}
	}
	_, own, _ := strings.Cut(s.bare, ",r=")
	if err := errors.Join(errs[:]...); err != nil || rounds < 1 || !strings.HasPrefix(nonce, own) || nonce == own {
		return "", fmt.Errorf("a bad SCRAM challenge %q", challenge)
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	bare := "c=biws,r=" + nonce
	message := s.bare + "," + challenge + "," + bare
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message))
	return bare + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
