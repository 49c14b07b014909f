package access

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// ScramSHA256 is the Authentication Method of MQTT 5 that is built in (RFC 7677).
const ScramSHA256 = "SCRAM-SHA-256"

// scramIterations is what RFC 7677 asks for at least. It is paid by the client at
// each authentication and by us once for each user.
const scramIterations = 4096

// Scram knows users by what SCRAM-SHA-256 needs to check their passwords, not by
// the passwords. It is immutable.
type Scram struct {
	users map[string]scram.StoredCredentials
}

// ReadScram reads users from lines of the form `name = password`; blank lines
// and lines that begin with # are comments. Errors name the line, never the
// password.
func ReadScram(r io.Reader) (*Scram, error) {
	s := &Scram{users: make(map[string]scram.StoredCredentials)}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(text, "=")
		name, password = strings.TrimSpace(name), strings.TrimSpace(password)
		if !ok || name == "" || password == "" {
			return nil, fmt.Errorf("line %d: want `name = password`", n)
		}
		if _, twice := s.users[name]; twice {
			return nil, fmt.Errorf("line %d: user %q is given twice", n, name)
		}
		if err := s.add(name, password); err != nil {
			return nil, fmt.Errorf("line %d: user %q: %w", n, name, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scram) add(name, password string) (err error) {
	s.users[name], err = scramKeys(name, password)
	return err
}

// knows tells whether the file has a user; a nil Scram has none.
func (s *Scram) knows(name string) bool {
	if s == nil {
		return false
	}
	_, ok := s.users[name]
	return ok
}

const scramSalt = 16

// scramKeys are what is kept of a password.
func scramKeys(name, password string) (scram.StoredCredentials, error) {
	c, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // it does not fail
	return c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
}

// encodeScram writes keys as one word, and nothing for none.
func encodeScram(k *scram.StoredCredentials) string {
	if k == nil {
		return ""
	}
	b := append([]byte(k.Salt), k.StoredKey...)
	return strconv.Itoa(k.Iters) + ":" + base64.RawStdEncoding.EncodeToString(append(b, k.ServerKey...))
}

func decodeScram(word string) (*scram.StoredCredentials, error) {
	if word == "" {
		return nil, nil
	}
	iters, keys, _ := strings.Cut(word, ":")
	n, err1 := strconv.Atoi(iters)
	b, err2 := base64.RawStdEncoding.DecodeString(keys)
	if err1 != nil || err2 != nil || len(b) != scramSalt+2*sha256.Size {
		return nil, errors.New("the keys for SCRAM are damaged")
	}
	return &scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(b[:scramSalt]), Iters: n},
		StoredKey:  b[scramSalt : scramSalt+sha256.Size], ServerKey: b[scramSalt+sha256.Size:],
	}, nil
}

var errUnknownUser = errors.New("unknown user")

// scramServer knows the users of auth.scram.file and, if their module is in the
// chain, the node's own; nil if there are neither.
func (c *Chain) scramServer() *scram.Server {
	own := c.own()
	if c.o.Scram == nil && own == nil {
		return nil
	}
	server, err := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
		if c.o.Scram.knows(name) {
			return c.o.Scram.users[name], nil
		}
		if own != nil {
			if x, ok := own.get(name); ok && x.scram != nil {
				return *x.scram, nil
			}
		}
		return scram.StoredCredentials{}, errUnknownUser
	})
	if err != nil {
		panic("access: " + err.Error()) // it fails for no function only
	}
	return server
}

// own are the node's own users, if they are a module of the chain.
func (c *Chain) own() *Accounts {
	for _, s := range c.line.Load().steps {
		if a, ok := s.Module.(*Accounts); ok && a.kind == UserNames {
			return a
		}
	}
	return nil
}

// Exchange is one run of an Authentication Method.
type Exchange interface {
	// Step takes the client's Authentication Data and returns ours; done says
	// that it succeeded with that. An error ends it: the client is not who it
	// says.
	Step(data []byte) (reply []byte, done bool, err error)
	// Username is who the client is, once done.
	Username() string
}

// Exchange begins a run of a method; false if the method is not known.
func (c *Chain) Exchange(method string) (Exchange, bool) {
	if c.scram == nil || method != ScramSHA256 {
		return nil, false
	}
	return &scramExchange{c.scram.NewConversation()}, true
}

type scramExchange struct{ *scram.ServerConversation }

func (x *scramExchange) Step(data []byte) ([]byte, bool, error) {
	reply, err := x.ServerConversation.Step(string(data))
	if err != nil {
		return nil, false, err
	}
	return []byte(reply), x.Done() && x.Valid(), nil
}
