package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Encode is the packet in the form of a version.
func (p *Packet) Encode(v byte) []byte {
	body := append(p.body(v), p.Trail...)
	out := AppendVarint([]byte{p.Type<<4 | p.Flags&15}, uint32(len(body)))
	return append(out, body...)
}

func (p *Packet) body(v byte) []byte {
	var b []byte
	props := func() {
		if v == V5 {
			b = appendProps(b, p.Props)
		}
	}
	if p.hasID() {
		if p.Type == Publish {
			b = appendString(b, p.Topic)
		}
		b = binary.BigEndian.AppendUint16(b, p.ID)
	} else if p.Type == Publish {
		b = appendString(b, p.Topic)
	}
	switch p.Type {
	case Connect:
		return p.connectBody()
	case Connack:
		b = append(append(b, p.AckFlags), p.code())
		props()
	case Publish:
		props()
		b = append(b, p.Payload...)
	case Puback, Pubrec, Pubrel, Pubcomp, Disconnect, Auth:
		if v == V5 && (len(p.Codes) > 0 || len(p.Props) > 0) {
			b = append(b, p.code())
			if len(p.Props) > 0 || p.Type == Auth {
				props()
			}
		}
	case Subscribe, Unsubscribe:
		props()
		for _, f := range p.Filters {
			b = appendString(b, f.Name)
			if p.Type == Subscribe {
				b = append(b, f.Options)
			}
		}
	case Suback, Unsuback:
		props()
		if p.Type == Suback || v == V5 {
			b = append(b, p.Codes...)
		}
	}
	return b
}

func (p *Packet) code() byte {
	if len(p.Codes) == 0 {
		return 0
	}
	return p.Codes[0]
}

func (p *Packet) connectBody() []byte {
	b := appendString(nil, p.Proto)
	b = append(b, p.Level, p.ConnFlags)
	b = binary.BigEndian.AppendUint16(b, p.KeepAlive)
	if p.Level == V5 {
		b = appendProps(b, p.Props)
	}
	b = appendString(b, p.Client)
	if p.ConnFlags&4 != 0 {
		if p.Level == V5 {
			b = appendProps(b, p.WillProps)
		}
		b = appendString(appendString(b, p.WillTopic), p.WillPayload)
	}
	if p.ConnFlags&0x80 != 0 {
		b = appendString(b, p.Name)
	}
	if p.ConnFlags&0x40 != 0 {
		b = appendString(b, p.Pass)
	}
	return b
}

// Split cuts the first Control Packet off b. size is 0 while it is incomplete.
func Split(b []byte) (first byte, body []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	n, k, err := Varint(b[1:])
	if err != nil || k == 0 || len(b) < 1+k+int(n) {
		return 0, nil, 0, err
	}
	size = 1 + k + int(n)
	return b[0], b[1+k : size], size, nil
}

type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("the packet ends early")
		r.b = nil
		return make([]byte, max(0, min(n, 4)))
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }

func (r *reader) varint() uint32 {
	n, k, err := Varint(r.b)
	if err != nil || k == 0 {
		r.fail("a bad Variable Byte Integer")
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) bytes() string { return string(r.take(int(r.u16()))) }

func (r *reader) text() string {
	s := r.bytes()
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		r.fail("a string that is not UTF-8, or has U+0000: %q", s)
	}
	return s
}

// Decode reads a packet of either direction. What it refuses, no peer may send.
func Decode(first byte, body []byte, v byte) (*Packet, error) {
	p := &Packet{Type: first >> 4, Flags: first & 15}
	r := &reader{b: body}
	want := byte(0)
	switch p.Type {
	case Pubrel, Subscribe, Unsubscribe:
		want = 2
	case Publish:
		want = p.Flags
	}
	if p.Flags != want || p.Type == 0 || p.Type == Publish && p.Flags&6 == 6 || p.Type == Auth && v != V5 {
		return nil, fmt.Errorf("a first byte %#x that is not allowed", first)
	}
	switch p.Type {
	case Connect:
		p.readConnect(r)
	case Publish:
		p.Topic = r.text()
		if p.hasID() {
			p.ID = r.u16()
		}
		p.readProps(r, v)
		p.Payload = string(r.take(len(r.b)))
	case Connack:
		p.AckFlags, p.Codes = r.u8(), []byte{r.u8()}
		// Who refuses the version that the client speaks may do so in the form of an older one.
		if len(r.b) > 0 || p.Codes[0] == 0 || p.Codes[0] > 5 {
			p.readProps(r, v)
		}
	case Pingreq, Pingresp:
	default:
		p.readRest(r, v)
	}
	if p.hasID() && p.ID == 0 {
		r.fail("Packet Identifier 0")
	}
	if len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return p, r.err
}

func (p *Packet) readProps(r *reader, v byte) {
	if v == V5 && r.err == nil {
		p.Props = r.readProps(places[p.Type])
	}
}

func (p *Packet) readRest(r *reader, v byte) {
	if p.hasID() {
		p.ID = r.u16()
	}
	switch p.Type {
	case Subscribe, Unsubscribe:
		p.readProps(r, v)
		for r.err == nil && len(r.b) > 0 {
			f := Filter{Name: r.text()}
			if p.Type == Subscribe {
				f.Options = r.u8()
			}
			p.Filters = append(p.Filters, f)
		}
	case Suback, Unsuback:
		p.readProps(r, v)
		p.Codes = r.take(len(r.b))
	default:
		p.Codes = []byte{0}
		if v == V5 && len(r.b) > 0 {
			p.Codes[0] = r.u8()
		}
		if v == V5 && len(r.b) > 0 {
			p.readProps(r, v)
		}
	}
}

func (p *Packet) readConnect(r *reader) {
	p.Proto = r.text()
	p.Level, p.ConnFlags, p.KeepAlive = r.u8(), r.u8(), r.u16()
	p.readProps(r, p.Level)
	p.Client = r.text()
	if p.ConnFlags&4 != 0 {
		if p.Level == V5 && r.err == nil {
			p.WillProps = r.readProps(willPlace)
		}
		p.WillTopic, p.WillPayload = r.text(), r.bytes()
	}
	if p.ConnFlags&0x80 != 0 {
		p.Name = r.text()
	}
	if p.ConnFlags&0x40 != 0 {
		p.Pass = r.bytes()
	}
}
