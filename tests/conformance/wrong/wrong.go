// Package wrong is a broker that is wrong on purpose: a right one, with a proxy
// before it that breaks what the faults say. It shows that every test of the
// suite can fail.
//
// A fault is a line: [CLIENT:][c.]VERB…. With a client's name it concerns only
// connections whose Client Identifier is the run's token and this name. With c.
// it concerns what clients send, else what the broker sends.
//
//	stay                          refusals and the end of a connection are kept from clients
//	drop TYPE [if F?V…] [nth N]   a packet is lost
//	dup TYPE [if …] [nth N]       it arrives twice
//	set TYPE F=V… [if …] [nth N]  it is changed
//	swap TYPE [if …]              it waits for the next of its type and comes behind it
//	close TYPE [if …] [nth N]     instead of the packet comes the end of the connection
//	send TYPE F=V… on TYPE [if …] a packet is made up behind another; with c. what causes
//	                              it is sent by the client, and what is made up is too
//	tell TYPE F=V… on TYPE [if …] a packet is made up for the client behind one that it sent
//	hold TYPE T                   a packet comes later
package wrong

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"emqttd/tests/conformance/script"
	"emqttd/tests/conformance/wire"
)

// Broker is a listening wrong broker. It serves one run of one test.
type Broker struct {
	l      net.Listener
	right  string
	token  string
	faults []*fault
	ws     []string // faults of WebSocket

	mu        sync.Mutex // guards what faults count, and what follows
	conns     []net.Conn
	listeners []net.Listener
}

type fault struct {
	client, verb string
	upward       bool // of what clients send
	typ          byte
	set          []string // of set, send and tell
	made         byte     // type that send and tell make up
	conds        []string
	nth, seen    int
	wait         time.Duration
}

// Start starts a wrong broker before the right one at addr.
func Start(addr, token string, faults []string) (*Broker, error) {
	b := &Broker{right: addr, token: token}
	for _, line := range faults {
		if kind, ok := strings.CutPrefix(line, "ws "); ok {
			b.ws = append(b.ws, kind)
			continue
		}
		f, err := parse(strings.ReplaceAll(line, "%", token))
		if err != nil {
			return nil, fmt.Errorf("fault %q: %w", line, err)
		}
		b.faults = append(b.faults, f)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.l = l
	go b.accept()
	return b, nil
}

// Addr is where it listens.
func (b *Broker) Addr() string { return b.l.Addr().String() }

// Close ends it and all its connections.
func (b *Broker) Close() {
	_ = b.l.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.listeners {
		_ = l.Close()
	}
	for _, c := range b.conns {
		_ = c.Close()
	}
}

func parse(line string) (*fault, error) {
	words := strings.Fields(line)
	f := &fault{}
	if name, verb, ok := strings.Cut(words[0], ":"); ok {
		f.client, words[0] = name, verb
	}
	f.verb, f.upward = strings.CutPrefix(words[0], "c.")
	if f.verb == "" {
		return nil, fmt.Errorf("no verb")
	}
	if f.verb == "stay" {
		return f, nil
	}
	if !slices.Contains([]string{"drop", "dup", "set", "swap", "close", "send", "tell", "hold"}, f.verb) || len(words) < 2 {
		return nil, fmt.Errorf("no such fault")
	}
	typ := func(s string) (byte, error) {
		t, ok := wire.TypeOf(s)
		if !ok {
			return 0, fmt.Errorf("no packet %q", s)
		}
		return t, nil
	}
	var err error
	if f.typ, err = typ(words[1]); err != nil {
		return nil, err
	}
	into := &f.set
	for i := 2; i < len(words) && err == nil; i++ {
		switch words[i] {
		case "if":
			into = &f.conds
		case "on":
			i++
			f.made = f.typ
			f.typ, err = typ(words[i])
		case "nth":
			i++
			f.nth, err = strconv.Atoi(words[i])
		default:
			*into = append(*into, script.Unescape(script.Expand(words[i])))
		}
	}
	if f.verb == "hold" && err == nil {
		f.wait, err = time.ParseDuration(f.set[0])
	}
	return f, err
}

func (b *Broker) accept() {
	for {
		c, err := b.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", b.right)
		if err != nil {
			_ = c.Close()
			continue
		}
		b.mu.Lock()
		b.conns = append(b.conns, c, up)
		b.mu.Unlock()
		l := &link{b: b, client: c, right: up, level: wire.V311}
		go l.upward()
		go l.downward()
	}
}

// link is one connection through the proxy.
type link struct {
	b             *Broker
	client, right net.Conn
	mu            sync.Mutex // guards what follows, and writes to client
	level         byte
	id            string
	swapped       []byte
}

// upward carries what the client sends.
func (l *link) upward() {
	pump(l.client, func(first byte, body, raw []byte) bool {
		p := l.decode(first, body)
		if p == nil {
			_, _ = l.right.Write(raw)
			return true
		}
		out, alive := l.apply(p, raw, true)
		_, _ = l.right.Write(out)
		return alive
	}, func(rest []byte) { _, _ = l.right.Write(rest) })
	_ = l.right.Close()
}

// downward carries what the broker sends.
func (l *link) downward() {
	pump(l.right, func(first byte, body, raw []byte) bool {
		p := l.decode(first, body)
		if p == nil {
			l.toClient(raw)
			return true
		}
		out, alive := l.apply(p, raw, false)
		l.toClient(out)
		return alive
	}, l.toClient)
	if l.find("stay") == nil {
		_ = l.client.Close()
	}
}

func (l *link) toClient(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.client.Write(b)
}

// pump cuts a stream into packets. What cannot be cut goes to rest.
func pump(c net.Conn, packet func(first byte, body, raw []byte) bool, rest func([]byte)) {
	var have []byte
	chunk := make([]byte, 16<<10)
	broken := false
	for {
		n, err := c.Read(chunk)
		have = append(have, chunk[:n]...)
		for !broken {
			first, body, size, err := wire.Split(have)
			if err != nil {
				broken = true
				break
			}
			if size == 0 {
				break
			}
			if !packet(first, body, have[:size]) {
				return
			}
			have = bytes.Clone(have[size:])
		}
		if broken {
			rest(have)
			have = nil
		}
		if err != nil {
			rest(have)
			return
		}
	}
}

func (l *link) decode(first byte, body []byte) *wire.Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := wire.Decode(first, body, l.level)
	if err != nil {
		return nil
	}
	if p.Type == wire.Connect && l.id == "" {
		l.level, l.id = p.Level, p.Client
	}
	return p
}

func (l *link) concerns(f *fault) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.client == "" || l.id == l.b.token+f.client
}

func (l *link) find(verb string) *fault {
	for _, f := range l.b.faults {
		if f.verb == verb && l.concerns(f) {
			return f
		}
	}
	return nil
}

// hits counts whether a fault concerns the packet.
func (l *link) hits(f *fault, p *wire.Packet) bool {
	if f.typ != p.Type || !l.concerns(f) || !script.Matches(p, f.conds) {
		return false
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	f.seen++
	return f.nth == 0 || f.nth == f.seen
}
