package acl

import (
	"fmt"
	"strings"

	"emqttd/protocol/topic"
)

// Pattern is a set of topics. It is immutable; the zero value is not valid, see
// NewPattern.
type Pattern struct {
	text    string
	levels  []level
	literal bool // {eq, text}
	dollar  bool // a leading wildcard reaches topics that begin with $
	vars    bool // has %c or %u
}

// kind of a level.
type kind uint8

const (
	word    kind = iota
	single       // +
	multi        // #
	varID        // %c
	varUser      // %u
)

type level struct {
	text string
	kind kind
}

// NewPattern makes a pattern of a topic filter in which a level %c or %u stands
// for the client's own identifier or user name. A topic that begins with "eq "
// is one that is compared literally, as in the tables of the back ends. Leading
// wildcards match topics that begin with $, as in etc/acl.conf.
func NewPattern(filter string) (Pattern, error) {
	if text, ok := strings.CutPrefix(filter, "eq "); ok {
		return NewLiteral(text)
	}
	return newPattern(filter, false)
}

// NewLiteral makes a pattern that is compared with a topic or filter literally:
// {eq, "#"} is about the wildcard itself, not about what it matches.
func NewLiteral(filter string) (Pattern, error) { return newPattern(filter, true) }

// WithoutDollar is the pattern, whose leading wildcard does not match topics that
// begin with $: so it is with EMQ's rules in Redis and MongoDB, and in MQTT.
// [MQTT-4.7.2-1]
func (p Pattern) WithoutDollar() Pattern {
	p.dollar = false
	return p
}

func newPattern(filter string, literal bool) (Pattern, error) {
	f, err := topic.ParseFilter(filter)
	if err != nil {
		return Pattern{}, err
	}
	p := Pattern{text: filter, literal: literal, dollar: true}
	p.levels = split(make([]level, 0, f.Levels()), filter)
	for i, l := range p.levels {
		switch {
		case literal:
		case l.text == "%c":
			p.levels[i].kind, p.vars = varID, true
		case l.text == "%u":
			p.levels[i].kind, p.vars = varUser, true
		}
	}
	return p, nil
}

// String is the pattern as etc/acl.conf writes it.
func (p Pattern) String() string {
	if p.literal {
		return "{eq, " + quote(p.text) + "}"
	}
	return quote(p.text)
}

// split appends the levels of a filter to dst.
func split(dst []level, filter string) []level {
	for {
		text, rest, more := strings.Cut(filter, "/")
		l := level{text: text}
		switch text {
		case "+":
			l.kind = single
		case "#":
			l.kind = multi
		}
		if dst = append(dst, l); !more {
			return dst
		}
		filter = rest
	}
}

// quote writes a string as Parse reads it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
