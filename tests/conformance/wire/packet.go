// Package wire builds and reads Control Packets for the conformance suite. It
// shares no code with any broker, builds what is wrong as readily as what is
// right, and gives every field a name, so that an exchange can be written down
// as text.
//
// Names of fields, for every packet that has them: id (Packet Identifier), code
// and codes (two hexadecimal digits each, commas between), flags (low half of
// the first byte, hexadecimal), trail (hexadecimal bytes added behind the end),
// and the properties of MQTT 5 as propertyNames lists them. CONNECT: client,
// clean, keep, proto, level, cflags, will, willmsg, willqos, willretain, name,
// pass, will.PROPERTY. CONNACK: present, ackflags. PUBLISH: topic, payload, qos,
// dup, retain. SUBSCRIBE and UNSUBSCRIBE: f, and after each f: qos, nl, rap, rh,
// opt.
package wire

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Control Packet types.
const (
	Connect     = 1
	Connack     = 2
	Publish     = 3
	Puback      = 4
	Pubrec      = 5
	Pubrel      = 6
	Pubcomp     = 7
	Subscribe   = 8
	Suback      = 9
	Unsubscribe = 10
	Unsuback    = 11
	Pingreq     = 12
	Pingresp    = 13
	Disconnect  = 14
	Auth        = 15
)

// Protocol levels.
const (
	V311 = 4
	V5   = 5
)

var typeNames = [16]string{
	"reserved", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp",
	"subscribe", "suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth",
}

// TypeName is the name of a type in lower case.
func TypeName(t byte) string { return typeNames[t&15] }

// TypeOf finds a type by its name.
func TypeOf(name string) (byte, bool) {
	for i, n := range typeNames {
		if n == name {
			return byte(i), true
		}
	}
	return 0, false
}

// Filter is one entry of SUBSCRIBE or UNSUBSCRIBE.
type Filter struct {
	Name    string
	Options byte
}

// Packet is a Control Packet of any type. Fields that its type does not have
// are zero.
type Packet struct {
	Type, Flags byte
	ID          uint16
	Codes       []byte
	Topic       string
	Payload     string
	Filters     []Filter
	AckFlags    byte // of CONNACK
	Props       []Prop
	Trail       []byte

	Proto            string
	Level, ConnFlags byte
	KeepAlive        uint16
	Client           string
	WillProps        []Prop
	WillTopic        string
	WillPayload      string
	Name, Pass       string
}

// New is a packet of a type with the flags that its type must have.
func New(t byte) *Packet {
	p := &Packet{Type: t}
	switch t {
	case Pubrel, Subscribe, Unsubscribe:
		p.Flags = 2
	case Connect:
		p.Proto, p.Level, p.ConnFlags = "MQTT", V311, 2
	}
	return p
}

// hasCode lists the types with a single code.
func (p *Packet) hasCode() bool {
	switch p.Type {
	case Connack, Puback, Pubrec, Pubrel, Pubcomp, Disconnect, Auth:
		return true
	}
	return false
}

func bit(b *byte, mask byte, on bool) {
	*b &^= mask
	if on {
		*b |= mask
	}
}

// Set sets a field by its name. The value "-" takes a property or a Will away.
func (p *Packet) Set(key, value string) error {
	if rest, ok := strings.CutPrefix(key, "will."); ok {
		return setProp(&p.WillProps, rest, value)
	}
	if _, ok := propertyNames[key]; ok {
		return setProp(&p.Props, key, value)
	}
	switch key {
	case "topic":
		p.Topic = value
	case "payload":
		p.Payload = value
	case "client":
		p.Client = value
	case "proto":
		p.Proto = value
	case "f":
		p.Filters = append(p.Filters, Filter{Name: value})
	case "name":
		p.Name = value
		bit(&p.ConnFlags, 0x80, value != "-")
	case "pass":
		p.Pass = value
		bit(&p.ConnFlags, 0x40, value != "-")
	case "will":
		p.WillTopic = value
		bit(&p.ConnFlags, 4, value != "-")
		if value == "-" {
			p.ConnFlags &^= 0x3c
		}
	case "willmsg":
		p.WillPayload = value
	case "codes":
		b, err := hex.DecodeString(strings.ReplaceAll(value, ",", ""))
		p.Codes = b
		return err
	case "trail", "p.raw":
		b, err := hex.DecodeString(value)
		if key == "trail" {
			p.Trail = b
		} else {
			p.Props = append(p.Props, Prop{Raw: b})
		}
		return err
	case "flags", "code", "cflags", "ackflags", "opt":
		n, err := strconv.ParseUint(value, 16, 8)
		if err != nil {
			return fmt.Errorf("%s=%s: want hexadecimal", key, value)
		}
		return p.setByte(key, byte(n))
	default:
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("%s=%s: no such field, or no number", key, value)
		}
		return p.setNumber(key, uint16(n))
	}
	return nil
}

func (p *Packet) setByte(key string, n byte) error {
	switch key {
	case "flags":
		p.Flags = n
	case "code":
		p.Codes = []byte{n}
	case "cflags":
		p.ConnFlags = n
	case "ackflags":
		p.AckFlags = n
	case "opt":
		return p.option(0xff, n)
	}
	return nil
}

// option changes the options of the last filter.
func (p *Packet) option(mask, n byte) error {
	if len(p.Filters) == 0 {
		return fmt.Errorf("a subscription option before its filter")
	}
	f := &p.Filters[len(p.Filters)-1]
	f.Options = f.Options&^mask | n
	return nil
}

func (p *Packet) setNumber(key string, n uint16) error {
	b := byte(n)
	switch key {
	case "id":
		p.ID = n
	case "keep":
		p.KeepAlive = n
	case "level":
		p.Level = b
	case "clean":
		bit(&p.ConnFlags, 2, n != 0)
	case "willqos":
		p.ConnFlags = p.ConnFlags&^0x18 | b<<3&0x18
	case "willretain":
		bit(&p.ConnFlags, 0x20, n != 0)
	case "present":
		bit(&p.AckFlags, 1, n != 0)
	case "dup":
		bit(&p.Flags, 8, n != 0)
	case "retain":
		bit(&p.Flags, 1, n != 0)
	case "qos":
		if p.Type == Subscribe {
			return p.option(3, b&3)
		}
		p.Flags = p.Flags&^6 | b<<1&6
	case "nl":
		return p.option(4, b<<2)
	case "rap":
		return p.option(8, b<<3)
	case "rh":
		return p.option(0x30, b<<4)
	default:
		return fmt.Errorf("no field %q", key)
	}
	return nil
}

// Get reads a field as Set would write it. ok is false if the packet does not
// have it.
func (p *Packet) Get(key string) (value string, ok bool) {
	if rest, ok := strings.CutPrefix(key, "will."); ok {
		return getProp(p.WillProps, rest)
	}
	if _, ok := propertyNames[key]; ok {
		return getProp(p.Props, key)
	}
	num := func(n byte) (string, bool) { return strconv.Itoa(int(n)), true }
	switch key {
	case "topic":
		return p.Topic, p.Type == Publish
	case "payload":
		return p.Payload, p.Type == Publish
	case "client":
		return p.Client, p.Type == Connect
	case "will":
		return p.WillTopic, p.Type == Connect && p.ConnFlags&4 != 0
	case "f":
		if len(p.Filters) == 0 {
			return "", false
		}
		return p.Filters[0].Name, true
	case "id":
		return strconv.Itoa(int(p.ID)), p.hasID()
	case "flags":
		return fmt.Sprintf("%x", p.Flags), true
	case "ackflags":
		return fmt.Sprintf("%02x", p.AckFlags), p.Type == Connack
	case "present":
		return num(p.AckFlags & 1)
	case "clean":
		return num(p.ConnFlags >> 1 & 1)
	case "qos":
		return num(p.Flags >> 1 & 3)
	case "dup":
		return num(p.Flags >> 3)
	case "retain":
		return num(p.Flags & 1)
	case "code":
		if len(p.Codes) == 0 {
			return "", false
		}
		return fmt.Sprintf("%02x", p.Codes[0]), true
	case "codes":
		var s []string
		for _, c := range p.Codes {
			s = append(s, fmt.Sprintf("%02x", c))
		}
		return strings.Join(s, ","), true
	case "props":
		return strconv.Itoa(len(p.Props)), true
	}
	return "", false
}

func (p *Packet) hasID() bool {
	switch p.Type {
	case Publish:
		return p.Flags&6 != 0
	case Puback, Pubrec, Pubrel, Pubcomp, Subscribe, Suback, Unsubscribe, Unsuback:
		return true
	}
	return false
}

// String says what matters of a packet, for reports.
func (p *Packet) String() string {
	var b strings.Builder
	b.WriteString(strings.ToUpper(TypeName(p.Type)))
	show := func(keys ...string) {
		for _, k := range keys {
			if v, ok := p.Get(k); ok {
				if len(v) > 40 {
					v = v[:40] + "…"
				}
				fmt.Fprintf(&b, " %s=%q", k, v)
			}
		}
	}
	show("id")
	switch {
	case p.Type == Publish:
		show("topic", "payload", "qos", "dup", "retain")
	case p.Type == Connack:
		show("present", "code")
	case p.hasCode():
		show("code")
	case len(p.Codes) > 0:
		show("codes")
	}
	for _, pr := range p.Props {
		show(propName(pr.ID))
	}
	return b.String()
}
