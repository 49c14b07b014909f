package wrong

import (
	"strings"
	"time"

	"emqttd/tests/conformance/wire"
)

// apply does to a packet what the faults want. It returns what is to be sent
// in its place, and whether the connection goes on.
func (l *link) apply(p *wire.Packet, raw []byte, upward bool) (out []byte, alive bool) {
	if !upward && l.find("stay") != nil && refuses(p) {
		return nil, true
	}
	var behind, back []byte
	copies, changed := 1, false // no copy: the packet is lost
	for _, f := range l.b.faults {
		if f.verb == "stay" || f.upward != upward && f.verb != "tell" || f.verb == "tell" && !upward || !l.hits(f, p) {
			continue
		}
		switch f.verb {
		case "drop":
			copies = 0
		case "dup":
			copies++
		case "set":
			changed = true
			change(p, f.set)
		case "swap":
			return l.swap(p.Encode(l.level)), true
		case "close":
			_ = l.client.Close()
			_ = l.right.Close()
			return nil, false
		case "send":
			behind = append(behind, l.makeUp(f, p)...)
		case "tell":
			back = append(back, l.makeUp(f, p)...)
		case "hold":
			late := p.Encode(l.level)
			time.AfterFunc(f.wait, func() { l.toClient(late) })
			return nil, true
		}
	}
	if changed {
		raw = p.Encode(l.level)
	}
	for range copies {
		out = append(out, raw...)
	}
	if len(back) > 0 {
		l.toClient(back)
	}
	return append(out, behind...), true
}

func refuses(p *wire.Packet) bool {
	return p.Type == wire.Disconnect || p.Type == wire.Connack && p.Codes[0] != 0
}

// change sets fields; those of subscriptions in every filter.
func change(p *wire.Packet, set []string) {
	for _, s := range set {
		k, v, _ := strings.Cut(s, "=")
		if p.Type == wire.Subscribe && strings.Contains(" qos nl rap rh opt ", " "+k+" ") {
			all := p.Filters
			for i := range all {
				p.Filters = all[:i+1]
				_ = p.Set(k, v)
			}
			continue
		}
		if k == "f" {
			p.Filters[0].Name = v
			continue
		}
		_ = p.Set(k, v)
	}
}

// makeUp builds a packet. The value =same copies a field of the packet that
// causes it.
func (l *link) makeUp(f *fault, cause *wire.Packet) []byte {
	p := wire.New(f.made)
	for _, s := range f.set {
		k, v, _ := strings.Cut(s, "=")
		if v == "same" {
			v, _ = cause.Get(k)
		}
		_ = p.Set(k, v)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.Encode(l.level)
}

// swap keeps a packet back until the next comes.
func (l *link) swap(b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.swapped == nil {
		l.swapped = b
		return nil
	}
	b = append(b, l.swapped...)
	l.swapped = nil
	return b
}
