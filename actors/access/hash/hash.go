// Package hash compares passwords with what stores keep of them, in the schemes
// of EMQ 2.x and a newer one, argon2id. It also makes what is to be stored.
//
// Comparisons take the same time wherever they fail. Schemes which are slow on
// purpose run in a Pool, which bounds how much of the machine they take.
package hash

import (
	"context"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// method is the function of a scheme.
type method uint8

const (
	plain method = iota
	digest
	bcrypted
	pbkdf2ed
	argon2ided
)

// place of the salt.
type place uint8

const (
	unsalted place = iota
	saltFirst
	saltLast
)

// Scheme is how passwords are stored. The zero Scheme is plain.
type Scheme struct {
	method method
	salt   place
	sum    func() hash.Hash // of digest and pbkdf2
	name   string           // of sum
	rounds int              // of pbkdf2
	length int              // of pbkdf2
}

var sums = map[string]func() hash.Hash{
	"md5": md5.New, "sha": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// Limits on parameters, so that nobody's configuration or row stops the node.
const (
	maxRounds = 10_000_000
	maxLength = 1024
	maxCost   = 16 // of bcrypt: 2 to that power; some seconds
)

// Parse reads a scheme as EMQ writes it: plain, md5, sha, sha256 or sha512;
// `salt,X` or `X,salt` for one of the digests; bcrypt or `salt,bcrypt`;
// `pbkdf2,MAC,ITERATIONS,LENGTH`; and argon2id. EMQ 2.0 separated by blanks.
func Parse(text string) (Scheme, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	unknown := fmt.Errorf("unknown password hash %q: expected plain, md5, sha, sha256, sha512, salt,X, X,salt, bcrypt, argon2id or pbkdf2,MAC,ITERATIONS,LENGTH", text)
	if len(words) == 0 {
		return Scheme{}, unknown
	}
	if words[0] == "pbkdf2" {
		return parsePBKDF2(words[1:])
	}
	s := Scheme{}
	switch {
	case len(words) == 2 && words[0] == "salt":
		s.salt, words = saltFirst, words[1:]
	case len(words) == 2 && words[1] == "salt":
		s.salt, words = saltLast, words[:1]
	case len(words) != 1:
		return s, unknown
	}
	switch words[0] {
	case "bcrypt":
		s.method = bcrypted
		return s, nil
	case "md5", "sha", "sha256", "sha512":
		s.method, s.name, s.sum = digest, words[0], sums[words[0]]
		return s, nil
	case "argon2id":
		s.method = argon2ided
	case "plain":
	default:
		return s, unknown
	}
	if s.salt != unsalted {
		return s, unknown
	}
	return s, nil
}

func parsePBKDF2(words []string) (Scheme, error) {
	s := Scheme{method: pbkdf2ed}
	if len(words) != 3 {
		return s, errors.New("expected pbkdf2,MAC,ITERATIONS,LENGTH")
	}
	s.name, s.sum = words[0], sums[words[0]]
	if s.sum == nil {
		return s, fmt.Errorf("unknown MAC %q of pbkdf2: expected md5, sha, sha224, sha256, sha384 or sha512", words[0])
	}
	var err1, err2 error
	s.rounds, err1 = strconv.Atoi(words[1])
	s.length, err2 = strconv.Atoi(words[2])
	if err1 != nil || err2 != nil || s.rounds < 1 || s.rounds > maxRounds || s.length < 1 || s.length > maxLength {
		return s, fmt.Errorf("expected 1 to %d iterations and a length of 1 to %d bytes for pbkdf2", maxRounds, maxLength)
	}
	return s, nil
}

// String is the scheme as Parse reads it.
func (s Scheme) String() string {
	name := [...]string{"plain", s.name, "bcrypt", fmt.Sprintf("pbkdf2,%s,%d,%d", s.name, s.rounds, s.length), "argon2id"}[s.method]
	switch s.salt {
	case saltFirst:
		return "salt," + name
	case saltLast:
		return name + ",salt"
	}
	return name
}

// Slow tells whether a comparison takes milliseconds on purpose.
func (s Scheme) Slow() bool { return s.method >= bcrypted }

// ErrStored is a stored password that is not of the scheme.
var ErrStored = errors.New("the stored password is not of the scheme")

// check compares without a pool. An empty stored password fits nothing.
func (s Scheme) check(stored, salt string, password []byte) (bool, error) {
	if stored == "" {
		return false, nil
	}
	switch s.method {
	case plain:
		a, b := sha256.Sum256([]byte(stored)), sha256.Sum256(password) // of equal length, whatever these are
		return subtle.ConstantTimeCompare(a[:], b[:]) == 1, nil
	case bcrypted:
		return checkBcrypt(stored, password)
	case argon2ided:
		return checkArgon2id(stored, password)
	}
	want, err := hex.DecodeString(stored)
	if err != nil {
		return false, ErrStored
	}
	got, err := s.derive(salt, password)
	return err == nil && subtle.ConstantTimeCompare(want, got) == 1, err
}

// derive computes a digest or pbkdf2.
func (s Scheme) derive(salt string, password []byte) ([]byte, error) {
	if s.method == pbkdf2ed {
		return pbkdf2.Key(s.sum, string(password), []byte(salt), s.rounds, s.length)
	}
	h := s.sum()
	if s.salt == saltFirst {
		_, _ = h.Write([]byte(salt)) // a hash takes everything
	}
	_, _ = h.Write(password)
	if s.salt == saltLast {
		_, _ = h.Write([]byte(salt))
	}
	return h.Sum(nil), nil
}

// bcryptMax is how many bytes of a password bcrypt looks at.
const bcryptMax = 72

func checkBcrypt(stored string, password []byte) (bool, error) {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || cost > maxCost {
		return false, ErrStored
	}
	err = bcrypt.CompareHashAndPassword([]byte(stored), password[:min(len(password), bcryptMax)])
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	if err != nil {
		return false, ErrStored
	}
	return true, nil
}

// store makes what is to be stored of a password.
func (s Scheme) store(password []byte) (stored, salt string, err error) {
	switch s.method {
	case plain:
		return string(password), "", nil
	case bcrypted:
		if len(password) > bcryptMax {
			return "", "", fmt.Errorf("bcrypt takes at most %d bytes of a password", bcryptMax)
		}
		b, err := bcrypt.GenerateFromPassword(password, bcrypt.DefaultCost)
		return string(b), "", err
	case argon2ided:
		return storeArgon2id(password), "", nil
	}
	if s.method == pbkdf2ed || s.salt != unsalted {
		salt = rand.Text()
	}
	b, err := s.derive(salt, password)
	return hex.EncodeToString(b), salt, err
}

// Check compares a password with what is stored of it. stored and salt are the
// columns of a table as they are; salt is ignored where the scheme holds it
// elsewhere. An error is that the stored password is not of the scheme, that
// too many others wait, or that ctx ended before it was its turn.
func (p *Pool) Check(ctx context.Context, s Scheme, stored, salt string, password []byte) (ok bool, err error) {
	err = p.run(ctx, s, func() { ok, err = s.check(stored, salt, password) }, &err)
	return ok, err
}

// Store makes what is to be stored of a password: it, and its salt where the
// scheme keeps one apart. Errors are those of Check, or that the password is too
// long for the scheme.
func (p *Pool) Store(ctx context.Context, s Scheme, password []byte) (stored, salt string, err error) {
	err = p.run(ctx, s, func() { stored, salt, err = s.store(password) }, &err)
	return stored, salt, err
}
