package access

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
	users  map[string]scram.StoredCredentials
	server *scram.Server
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
	var err error
	s.server, err = scram.SHA256.NewServer(s.look)
	return s, err
}

func (s *Scram) add(name, password string) error {
	c, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		return err
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it does not fail
	stored, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		return err
	}
	s.users[name] = stored
	return nil
}

var errUnknownUser = errors.New("unknown user")

func (s *Scram) look(name string) (scram.StoredCredentials, error) {
	c, ok := s.users[name]
	if !ok {
		return c, errUnknownUser
	}
	return c, nil
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
	if c.o.Scram == nil || method != ScramSHA256 {
		return nil, false
	}
	return &scramExchange{c.o.Scram.server.NewConversation()}, true
}

type scramExchange struct{ *scram.ServerConversation }

func (x *scramExchange) Step(data []byte) ([]byte, bool, error) {
	reply, err := x.ServerConversation.Step(string(data))
	if err != nil {
		return nil, false, err
	}
	return []byte(reply), x.Done() && x.Valid(), nil
}
