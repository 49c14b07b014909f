package script

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/tests/conformance/wire"
)

// Options say where and how patiently tests run.
type Options struct {
	Addr    string
	Timeout time.Duration // how long an expected packet may take
	Quiet   time.Duration // how long nothing has to come
	Token   string        // what % becomes; "" for a new one
	WS      string        // ws://host:port/path, "" if there is none
	Scram   string        // user:password of SCRAM-SHA-256, "" if none is known
}

// ErrUndecided is wrapped by what Run returns if the broker does not offer what
// the test is about.
var ErrUndecided = errors.New("not decidable on this broker")

// errPassed ends a test early.
var errPassed = errors.New("passed")

var tokens atomic.Uint32

// process tells the tokens of this process from those of others: five digits.
var process = sync.OnceValue(func() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	const five = 36 * 36 * 36 * 36 * 36
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:])%five+five, 36)[1:]
})

// NewToken is text that no other run uses: 9 letters and digits.
func NewToken() string {
	return "c" + process() + strconv.FormatUint(uint64(tokens.Add(1))%(35*36*36)+36*36, 36)
}

// run is the state of one exchange.
type run struct {
	o        Options
	level    byte
	clients  map[string]*client
	vars     map[string]string
	sessions map[string]bool // Client Identifiers with a session that lasts
	retained map[string]bool // topics with a retained message
	needed   map[string]bool // fields of CONNACK that the test itself has looked at
	lastID   uint16
	scram    *scram
}

// Run runs a test. nil means that the broker does what the statement wants.
func Run(t *Test, o Options) error {
	if o.Token == "" {
		o.Token = NewToken()
	}
	r := &run{
		o: o, level: t.Level, clients: map[string]*client{}, vars: map[string]string{},
		sessions: map[string]bool{}, retained: map[string]bool{}, needed: map[string]bool{}, lastID: 100,
	}
	defer r.cleanUp()
	for _, l := range t.Steps {
		if err := r.line(l.Text); err != nil {
			if errors.Is(err, errPassed) {
				return nil
			}
			return &failure{t.File, l, o.Token, err}
		}
	}
	return nil
}

// failure says which line of a test did not hold.
type failure struct {
	file  string
	line  Line
	token string
	err   error
}

func (f *failure) Unwrap() error { return f.err }

// Error has % for the token again, so that two runs fail with the same words.
func (f *failure) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.file, f.line.Number, f.line.Text, strings.ReplaceAll(f.err.Error(), f.token, "%"))
}

// cleanUp closes all and takes away what would stay in the broker.
func (r *run) cleanUp() {
	for _, c := range r.clients {
		_ = c.net.Close()
	}
	if len(r.sessions) == 0 && len(r.retained) == 0 {
		return
	}
	r.sessions[r.o.Token+"z"] = true
	for id := range r.sessions {
		c, err := dial(r.o.Addr, 4, r.o.Timeout)
		if err != nil {
			return
		}
		hello := wire.New(wire.Connect)
		hello.Client = id
		b := hello.Encode(4)
		for t := range r.retained {
			p := wire.New(wire.Publish)
			p.Topic, p.Flags = t, 1
			b = append(b, p.Encode(4)...)
		}
		c.write(append(b, wire.New(wire.Disconnect).Encode(4)...))
		c.drain(r.o.Quiet)
		_ = c.net.Close()
	}
}

func (r *run) line(text string) error {
	if rest, ok := strings.CutPrefix(text, "repeat "); ok {
		count, rest, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(r.replace(count))
		for i := 1; i <= n && err == nil; i++ {
			err = r.line(strings.ReplaceAll(rest, "#", strconv.Itoa(i)))
		}
		return err
	}
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = r.replace(w)
	}
	if words[0] == "wait" {
		d, err := time.ParseDuration(words[1])
		time.Sleep(d)
		return err
	}
	if words[0] == "scram" && len(words) > 1 {
		return r.scramStep(words[1:])
	}
	if len(words) < 2 {
		return fmt.Errorf("a step without a verb")
	}
	return r.step(words[0], words[1], words[2:])
}

// replace puts in the token, captured values and bytes. Captured are names of
// letters behind an @ at the end of a word.
func (r *run) replace(w string) string {
	w = strings.ReplaceAll(w, "%", r.o.Token)
	if i := strings.LastIndexByte(w, '@'); i >= 0 {
		name, brace := strings.CutSuffix(w[i+1:], "}")
		if v, ok := r.vars[name]; ok {
			if w = w[:i] + v; brace {
				w += "}"
			}
		}
	}
	return Unescape(Expand(w))
}

// Expand writes {N} out as N letters.
func Expand(s string) string {
	i := strings.IndexByte(s, '{')
	if i < 0 || !strings.HasSuffix(s, "}") {
		return s
	}
	n, err := strconv.Atoi(s[i+1 : len(s)-1])
	if err != nil {
		return s
	}
	return s[:i] + strings.Repeat("x", n)
}

func (r *run) step(name, verb string, args []string) error {
	switch verb {
	case "dial", "connect", "hello":
		return r.open(name, verb, args)
	}
	c := r.clients[name]
	if c == nil {
		return fmt.Errorf("no client %q", name)
	}
	switch verb {
	case ">":
		return r.send(c, args)
	case "text", "protocol":
		return websocket(c, verb, args)
	case "raw", "frame":
		return sendBytes(c, verb, args)
	case "<", "<<":
		t, ok := wire.TypeOf(args[0])
		if !ok {
			return fmt.Errorf("no packet %q", args[0])
		}
		_, err := r.expect(c, t, args[1:], verb == "<<")
		return err
	case "sub", "unsub":
		return r.subscribe(c, verb, args)
	case "pub":
		return r.publish(c, args)
	case "recv":
		return r.receive(c, args)
	case "ping":
		c.write([]byte{wire.Pingreq << 4, 0})
		_, err := c.take(wire.Pingresp, r.o.Timeout, false)
		return err
	case "abort":
		_ = c.net.Close()
		return nil
	case "bye":
		p := wire.New(wire.Disconnect)
		if err := setAll(p, args); err != nil {
			return err
		}
		c.leave(p, r.o.Quiet)
		return nil
	default:
		return r.observe(c, verb, args)
	}
}

// observe holds the verbs that look at what the broker does by itself.
func (r *run) observe(c *client, verb string, args []string) error {
	switch verb {
	case "silent":
		d := r.o.Quiet
		if len(args) > 0 {
			var err error
			if d, err = time.ParseDuration(args[0]); err != nil {
				return err
			}
		}
		return c.silent(d)
	case "closed":
		return c.closed(r.o.Timeout, func(p *wire.Packet) bool {
			want := byte(wire.Disconnect)
			if c.connack == nil {
				want = wire.Connack
			}
			return c.level == wire.V5 && p.Type == want && p.Codes[0] >= 0x80 && oneOf(p, args)
		})
	case "refused":
		return c.closed(r.o.Timeout, func(p *wire.Packet) bool {
			return c.connack == nil && p.Type == wire.Connack && p.Codes[0] != 0 && p.AckFlags == 0 && oneOf(p, args)
		})
	case "ends":
		return c.closed(r.o.Timeout, func(*wire.Packet) bool { return true })
	case "eof":
		return c.closed(r.o.Timeout, func(*wire.Packet) bool { return false })
	case "collect":
		return c.collect(r.o.Quiet)
	case "sum":
		return r.sum(c, args)
	case "count", "every":
		return r.count(c, verb, args)
	case "need":
		return r.need(c, args)
	case "unless":
		if c.last != nil && r.match(c.last, args) == nil {
			return errPassed
		}
		return nil
	case "either":
		return r.either(c, args)
	}
	return fmt.Errorf("no verb %q", verb)
}

func oneOf(p *wire.Packet, codes []string) bool {
	if len(codes) == 0 {
		return true
	}
	for _, s := range codes {
		if code, _ := p.Get("code"); code == s {
			return true
		}
	}
	return false
}

// count checks how many of the collected packets match.
func (r *run) count(c *client, verb string, args []string) error {
	t, ok := wire.TypeOf(args[0])
	if !ok {
		return fmt.Errorf("no packet %q", args[0])
	}
	low, high, conds := 0, 1<<30, args[1:]
	if verb == "count" {
		a, b, two := strings.Cut(args[1], "..")
		low, _ = strconv.Atoi(a)
		if high = low; two {
			high, _ = strconv.Atoi(b)
		}
		conds = args[2:]
	}
	n := 0
	for _, p := range c.got {
		if p.Type != t {
			continue
		}
		err := r.match(p, conds)
		if err != nil && verb == "every" {
			return err
		}
		if err == nil {
			n++
		}
	}
	if n < low || n > high {
		return fmt.Errorf("%d packets match of %v", n, c.got)
	}
	return nil
}

// either takes a packet or the end of the connection.
func (r *run) either(c *client, args []string) error {
	t, ok := wire.TypeOf(args[0])
	if !ok {
		return fmt.Errorf("no packet %q", args[0])
	}
	_, err := r.expect(c, t, args[1:], false)
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// sum counts packets of a type that two clients have collected.
func (r *run) sum(c *client, args []string) error {
	other, n := r.clients[args[0]], 0
	for _, p := range append(c.got[:len(c.got):len(c.got)], other.got...) {
		if wire.TypeName(p.Type) == args[1] {
			n++
		}
	}
	if strconv.Itoa(n) != args[2] {
		return fmt.Errorf("want %s, have %d: %v %v", args[2], n, c.got, other.got)
	}
	return nil
}
