package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emqttd/tests/conformance/wire"
	"emqttd/tests/conformance/wsframe"
)

// open dials, and says hello.
func (r *run) open(name, verb string, args []string) error {
	connect, addr := dial, r.o.Addr
	if i := slices.Index(args, "ws"); i >= 0 {
		if connect, addr, args = dialWS, r.o.WS, slices.Delete(args, i, i+1); addr == "" {
			return fmt.Errorf("%w: no address of WebSocket is given (-ws)", ErrUndecided)
		}
	}
	c, err := connect(addr, r.level, r.o.Timeout)
	if err != nil {
		if isTimeout(err) {
			return fmt.Errorf("the broker does not accept: %w", err)
		}
		return err
	}
	r.clients[name] = c
	if verb == "dial" {
		return nil
	}
	p := wire.New(wire.Connect)
	p.Level = r.level
	p.Client = r.o.Token + strings.TrimRight(name, "0123456789")
	resumed := false
	var rest []string
	for _, a := range args {
		switch a {
		case "persist", "resumed":
			_ = p.Set("clean", "0")
			if r.level == wire.V5 {
				_ = p.Set("expiry", "120")
			}
			resumed = resumed || a == "resumed"
		default:
			rest = append(rest, a)
		}
	}
	for _, a := range rest { // the level first: whether there are properties depends on it
		if v, ok := strings.CutPrefix(a, "level="); ok {
			n, _ := strconv.Atoi(v)
			if n <= wire.V5 {
				c.level = byte(n) // what is beyond is answered in our own form
			}
			if n != wire.V5 {
				p.Props = nil
			}
		}
	}
	if err := setAll(p, rest); err != nil {
		return err
	}
	if p.ConnFlags&2 == 0 {
		r.sessions[p.Client] = true
	}
	if v, ok := p.Get("maxpkt"); ok {
		c.limit, _ = strconv.Atoi(v)
	}
	if v, ok := p.Get("aliasmax"); ok {
		c.aliasMax, _ = strconv.Atoi(v)
	}
	r.note(p)
	c.write(p.Encode(c.level))
	if verb == "hello" {
		return nil
	}
	want := []string{"code=00"}
	if resumed {
		want = append(want, "present=1")
	}
	ack, err := r.expect(c, wire.Connack, want, true)
	c.connack = ack
	return err
}

// setAll sets fields written key=value.
func setAll(p *wire.Packet, args []string) error {
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is no field=value", a)
		}
		if err := p.Set(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) send(c *client, args []string) error {
	t, ok := wire.TypeOf(args[0])
	if !ok {
		return fmt.Errorf("no packet %q", args[0])
	}
	p := wire.New(t)
	p.Level = r.level // of a CONNECT
	if err := setAll(p, args[1:]); err != nil {
		return err
	}
	if err := r.offered(c, p); err != nil {
		return err
	}
	r.note(p)
	c.write(p.Encode(c.level))
	return nil
}

// note remembers what has to be cleaned up.
func (r *run) note(p *wire.Packet) {
	if p.Type == wire.Publish && p.Flags&1 != 0 {
		r.retained[p.Topic] = true
	}
	if p.Type == wire.Connect && p.ConnFlags&0x24 == 0x24 {
		r.retained[p.WillTopic] = true
	}
}

func sendBytes(c *client, verb string, args []string) error {
	b, err := wire.Hex(args)
	if err != nil {
		return err
	}
	if verb == "frame" {
		b = append(wire.AppendVarint(b[:1:1], uint32(len(b)-1)), b[1:]...)
	}
	c.write(b)
	return nil
}

// websocket holds the verbs that only a WebSocket has.
func websocket(c *client, verb string, args []string) error {
	ws, ok := c.net.(*wsframe.Conn)
	if !ok {
		return fmt.Errorf("%s on a connection that is no WebSocket", verb)
	}
	if verb == "protocol" {
		if ws.Protocol != args[0] {
			return fmt.Errorf("the server selects the subprotocol %q", ws.Protocol)
		}
		return nil
	}
	b, err := wire.Hex(args)
	if err == nil {
		_ = ws.WriteFrame(wsframe.Text, b) // a broker that has closed shows in what is expected next
	}
	return err
}

// expect takes a packet and checks its fields.
func (r *run) expect(c *client, t byte, conds []string, strict bool) (*wire.Packet, error) {
	p, err := c.take(t, r.o.Timeout, strict)
	if err != nil {
		return nil, err
	}
	c.last = p
	if t == wire.Connack && c.connack == nil {
		c.connack = p
	}
	return p, r.match(p, conds)
}

// match checks FIELD?VALUE, and captures.
func (r *run) match(p *wire.Packet, conds []string) error {
	for _, cond := range conds {
		i := strings.IndexAny(cond, "!<>=")
		if i < 0 {
			return fmt.Errorf("%q is no condition", cond)
		}
		key, op := cond[:i], cond[i:i+1]
		if op != "=" {
			op = cond[i : i+2]
		}
		want := cond[i+len(op):]
		have, ok := p.Get(key)
		if name, capture := strings.CutPrefix(want, "?"); capture && ok {
			r.vars[name] = have
			continue
		}
		if !holds(have, ok, op, want) {
			if !ok {
				have = "(absent)"
			}
			return fmt.Errorf("want %s, have %.60q in %v", cond, have, p)
		}
	}
	return nil
}

// holds compares. Numbers are decimal but for codes, whose two digits compare
// as text.
func holds(have string, ok bool, op, want string) bool {
	switch {
	case want == "-":
		return ok == (op == "!=")
	case want == "*":
		return ok == (op == "=")
	case op == "=":
		for _, w := range strings.Split(want, "|") {
			if ok && (have == w || w == "*") || !ok && w == "-" {
				return true
			}
		}
		return false
	case op == "!=":
		return !ok || have != want
	}
	a, err1 := strconv.Atoi(have)
	b, err2 := strconv.Atoi(want)
	less := a <= b
	greater := a >= b
	if err1 != nil || err2 != nil {
		less, greater = have <= want, have >= want
	}
	return ok && (op == "<=" && less || op == ">=" && greater)
}

func (r *run) nextID() string {
	r.lastID++
	return strconv.Itoa(int(r.lastID))
}

func (r *run) subscribe(c *client, verb string, args []string) error {
	id := r.nextID()
	t, ack := byte(wire.Subscribe), byte(wire.Suback)
	if verb == "unsub" {
		t, ack = wire.Unsubscribe, wire.Unsuback
	}
	p := wire.New(t)
	if err := setAll(p, append([]string{"id=" + id, "f=" + args[0]}, args[1:]...)); err != nil {
		return err
	}
	if err := r.offered(c, p); err != nil {
		return err
	}
	c.write(p.Encode(c.level))
	conds := []string{"id=" + id}
	if verb == "sub" {
		conds = append(conds, fmt.Sprintf("codes=%02x", p.Filters[0].Options&3))
	}
	_, err := r.expect(c, ack, conds, false)
	return err
}

// publish sends a PUBLISH and goes through the handshake of its QoS.
func (r *run) publish(c *client, args []string) error {
	p := wire.New(wire.Publish)
	p.Topic, p.Payload = args[0], args[1]
	id := r.nextID()
	if err := setAll(p, append([]string{"id=" + id}, args[2:]...)); err != nil {
		return err
	}
	id = strconv.Itoa(int(p.ID))
	if err := r.offered(c, p); err != nil {
		return err
	}
	r.note(p)
	c.write(p.Encode(c.level))
	ok := []string{"id=" + id}
	if c.level == wire.V5 {
		ok = append(ok, "code<=7f")
	}
	switch p.Flags >> 1 & 3 {
	case 1:
		_, err := r.expect(c, wire.Puback, ok, false)
		return err
	case 2:
		if _, err := r.expect(c, wire.Pubrec, ok, false); err != nil {
			return err
		}
		rel := wire.New(wire.Pubrel)
		rel.ID = p.ID
		c.write(rel.Encode(c.level))
		_, err := r.expect(c, wire.Pubcomp, ok, false)
		return err
	}
	return nil
}

// receive expects a PUBLISH and goes through the handshake of its QoS.
func (r *run) receive(c *client, args []string) error {
	p, err := r.expect(c, wire.Publish, append([]string{"topic=" + args[0], "payload=" + args[1]}, args[2:]...), false)
	if err != nil {
		return err
	}
	ack := wire.New(wire.Puback)
	ack.ID = p.ID
	switch p.Flags >> 1 & 3 {
	case 1:
		c.write(ack.Encode(c.level))
	case 2:
		ack.Type = wire.Pubrec
		c.write(ack.Encode(c.level))
		if _, err := r.expect(c, wire.Pubrel, []string{"id=" + strconv.Itoa(int(p.ID))}, false); err != nil {
			return err
		}
		ack.Type = wire.Pubcomp
		c.write(ack.Encode(c.level))
	}
	return nil
}

// Matches reports whether all conditions hold for a packet.
func Matches(p *wire.Packet, conds []string) bool {
	r := run{vars: map[string]string{}}
	return r.match(p, conds) == nil
}
