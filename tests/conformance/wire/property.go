package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Prop is a property in wire form: identifier and value. Raw, if not nil, is
// written as it is instead of both.
type Prop struct {
	ID    byte
	Value []byte
	Raw   []byte
}

type propKind byte

const (
	kByte propKind = iota
	kU16
	kU32
	kVarint
	kString
	kBinary
	kPair
)

type propType struct {
	id   byte
	kind propKind
	only string // types of packet that may carry it, by their first letters as places has them
}

var propertyNames = map[string]propType{
	"pfi":         {1, kByte, "Pw"},
	"msgexp":      {2, kU32, "Pw"},
	"ctype":       {3, kString, "Pw"},
	"rtopic":      {8, kString, "Pw"},
	"corr":        {9, kBinary, "Pw"},
	"subid":       {11, kVarint, "PS"},
	"expiry":      {17, kU32, "CcD"},
	"assigned":    {18, kString, "c"},
	"ska":         {19, kU16, "c"},
	"authm":       {21, kString, "CcX"},
	"authd":       {22, kBinary, "CcX"},
	"reqprob":     {23, kByte, "C"},
	"delay":       {24, kU32, "w"},
	"reqresp":     {25, kByte, "C"},
	"respinfo":    {26, kString, "c"},
	"sref":        {28, kString, "cD"},
	"reason":      {31, kString, "caTUDX"},
	"recvmax":     {33, kU16, "Cc"},
	"aliasmax":    {34, kU16, "Cc"},
	"alias":       {35, kU16, "P"},
	"maxqos":      {36, kByte, "c"},
	"retainavail": {37, kByte, "c"},
	"user":        {38, kPair, "CcPwaSTVUDX"},
	"maxpkt":      {39, kU32, "Cc"},
	"wild":        {40, kByte, "c"},
	"subidavail":  {41, kByte, "c"},
	"shared":      {42, kByte, "c"},
}

// places says which letter of propType.only stands for which packet.
var places = map[byte]string{
	Connect: "C", Connack: "c", Publish: "P", Puback: "a", Pubrec: "a", Pubrel: "a", Pubcomp: "a",
	Subscribe: "S", Suback: "T", Unsubscribe: "V", Unsuback: "U", Disconnect: "D", Auth: "X",
}

const willPlace = "w"

func propName(id byte) string {
	for name, t := range propertyNames {
		if t.id == id {
			return name
		}
	}
	return ""
}

// setProp replaces a property, or adds one of those that may be repeated. "-"
// takes it away. A pair is written key:value, binary data is text.
func setProp(list *[]Prop, name, value string) error {
	t, ok := propertyNames[name]
	if !ok {
		return fmt.Errorf("no property %q", name)
	}
	if value == "-" || name != "user" && name != "subid" {
		kept := (*list)[:0:0]
		for _, p := range *list {
			if p.ID != t.id {
				kept = append(kept, p)
			}
		}
		*list = kept
		if value == "-" {
			return nil
		}
	}
	p := Prop{ID: t.id}
	switch t.kind {
	case kString, kBinary:
		p.Value = appendString(nil, value)
	case kPair:
		k, v, _ := strings.Cut(value, ":")
		p.Value = appendString(appendString(nil, k), v)
	default:
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("%s=%s: want a number", name, value)
		}
		p.Value = appendNumber(nil, t.kind, uint32(n))
	}
	*list = append(*list, p)
	return nil
}

func appendNumber(b []byte, k propKind, n uint32) []byte {
	switch k {
	case kByte:
		return append(b, byte(n))
	case kU16:
		return binary.BigEndian.AppendUint16(b, uint16(n))
	case kU32:
		return binary.BigEndian.AppendUint32(b, n)
	}
	return AppendVarint(b, n)
}

// getProp is the value of a property as text. Several are joined by commas, in
// order but for Subscription Identifiers, whose order says nothing.
func getProp(list []Prop, name string) (string, bool) {
	t, ok := propertyNames[name]
	if !ok {
		return "", false
	}
	var all []string
	for _, p := range list {
		if p.ID == t.id && p.Raw == nil {
			all = append(all, t.text(p.Value))
		}
	}
	if t.kind == kVarint {
		sort.Strings(all)
	}
	return strings.Join(all, ","), len(all) > 0
}

func (t propType) text(v []byte) string {
	switch t.kind {
	case kByte:
		return strconv.Itoa(int(v[0]))
	case kU16:
		return strconv.Itoa(int(binary.BigEndian.Uint16(v)))
	case kU32:
		return strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10)
	case kVarint:
		n, _, _ := Varint(v)
		return strconv.Itoa(int(n))
	case kPair:
		k := int(binary.BigEndian.Uint16(v))
		return string(v[2:2+k]) + ":" + string(v[4+k:])
	}
	return string(v[2:])
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// AppendVarint appends a Variable Byte Integer.
func AppendVarint(b []byte, n uint32) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// Varint reads a Variable Byte Integer and says how long it is: 0 if it is not
// complete.
func Varint(b []byte) (n uint32, size int, err error) {
	for i, c := range b {
		if i == 4 {
			return 0, 0, fmt.Errorf("a Variable Byte Integer of more than 4 bytes")
		}
		n |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				return 0, 0, fmt.Errorf("a Variable Byte Integer that is longer than it need be")
			}
			return n, i + 1, nil
		}
	}
	return 0, 0, nil
}

func appendProps(b []byte, list []Prop) []byte {
	var body []byte
	for _, p := range list {
		if p.Raw != nil {
			body = append(body, p.Raw...)
			continue
		}
		body = append(append(body, p.ID), p.Value...)
	}
	return append(AppendVarint(b, uint32(len(body))), body...)
}

// readProps reads a Property Length and the properties, and checks that they may
// stand in this place and are not repeated.
func (r *reader) readProps(place string) (list []Prop) {
	n := r.varint()
	sub := reader{b: r.take(int(n))}
	seen := map[byte]bool{}
	for r.err == nil && len(sub.b) > 0 {
		id := byte(sub.varint())
		t, ok := propertyNames[propName(id)]
		if !ok || !strings.Contains(t.only, place) {
			r.fail("property %#x does not belong there", id)
			return
		}
		// A server may send several Subscription Identifiers, and anybody several User Properties.
		if seen[id] && t.kind != kPair && (t.kind != kVarint || place != "P") {
			r.fail("property %#x twice", id)
			return
		}
		seen[id] = true
		before := sub.b
		sub.skip(t.kind)
		if sub.err != nil {
			r.err = sub.err
			return
		}
		list = append(list, Prop{ID: id, Value: before[:len(before)-len(sub.b)]})
	}
	return list
}

func (r *reader) skip(k propKind) {
	switch k {
	case kByte:
		r.take(1)
	case kU16:
		r.take(2)
	case kU32:
		r.take(4)
	case kVarint:
		r.varint()
	case kString:
		r.text()
	case kBinary:
		r.take(int(r.u16()))
	case kPair:
		r.text()
		r.text()
	}
}

// Hex reads hexadecimal bytes and "quoted text", as raw lines of exchanges have
// them.
func Hex(tokens []string) ([]byte, error) {
	var out []byte
	for _, t := range tokens {
		if s, ok := strings.CutPrefix(t, `"`); ok {
			out = append(out, strings.TrimSuffix(s, `"`)...)
			continue
		}
		b, err := hex.DecodeString(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		out = append(out, b...)
	}
	return out, nil
}
