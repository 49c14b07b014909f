package sqlauth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"emqttd/actors/access/template"
)

// Dialect is what differs between the databases in the text of a query.
type Dialect struct {
	// Bind writes the n-th parameter, from 1.
	Bind func(n int) string
	// Backslash escapes a character in a literal.
	Backslash bool
	// Hash begins a comment.
	Hash bool
	// DoubleQuoted is a literal, not a name.
	DoubleQuoted bool
}

// The dialects.
var (
	MySQL      = Dialect{Bind: func(int) string { return "?" }, Backslash: true, Hash: true, DoubleQuoted: true}
	PostgreSQL = Dialect{Bind: func(n int) string { return "$" + strconv.Itoa(n) }}
)

// Query is a prepared text: what a client says of itself is in its parameters and
// never in the text.
type Query struct {
	Text   string
	params []byte // placeholders, in the order of the parameters
}

// Prepare makes a query of EMQ's: each literal that is a placeholder, such as
// '%u', and each placeholder outside literals becomes a parameter. A placeholder
// within a longer literal is refused, for it would be compared as it stands: write
// concat('dev-', '%u'). So is a parameter of the user's own.
func Prepare(text string, d Dialect) (*Query, error) {
	text = strings.TrimRight(strings.TrimSpace(text), ";")
	p := preparer{d: d, rest: text}
	for p.rest != "" {
		if err := p.step(); err != nil {
			return nil, fmt.Errorf("query %q: %w", text, err)
		}
	}
	return &Query{Text: p.out.String(), params: p.params}, nil
}

// Args are the parameters for a client. An undefined value is NULL, which is equal
// to nothing.
func (q *Query) Args(v *template.Values) []any {
	args := make([]any, len(q.params))
	for i, p := range q.params {
		if value := v.Get(p); value != "" {
			args[i] = value
		}
	}
	return args
}

// Needs tells whether nothing can come of the query because it asks for one value
// only, which is undefined.
func (q *Query) Needs(v *template.Values) bool {
	for _, p := range q.params {
		if v.Get(p) != "" {
			return false
		}
	}
	return len(q.params) > 0
}

type preparer struct {
	d      Dialect
	out    strings.Builder
	rest   string
	params []byte
}

// step takes one token: a literal, a comment, a placeholder or a character.
func (p *preparer) step() error {
	switch c := p.rest[0]; {
	case c == '\'':
		return p.literal(c, true)
	case c == '"':
		return p.literal(c, p.d.DoubleQuoted)
	case c == '`':
		return p.literal(c, false)
	case strings.HasPrefix(p.rest, "--"), c == '#' && p.d.Hash:
		p.comment("\n")
	case strings.HasPrefix(p.rest, "/*"):
		p.comment("*/")
	case c == '%' && placeholder(p.rest) != 0 && !wordBefore(p.out.String()):
		p.bind(p.rest[1])
		p.rest = p.rest[2:]
	case c == '?' && p.d.Hash, c == '$' && len(p.rest) > 1 && (digit(p.rest[1]) || p.rest[1] == '$'):
		return errors.New("has a parameter of its own: use %u, %c or %a")
	case c == ';':
		return errors.New("is more than one statement")
	default:
		p.out.WriteByte(c)
		p.rest = p.rest[1:]
	}
	return nil
}

// literal takes one up to its closing quote; value tells that it is no name.
func (p *preparer) literal(quote byte, value bool) error {
	end := 1
	for ; ; end++ {
		if end >= len(p.rest) {
			return fmt.Errorf("the literal %s is not closed", p.rest)
		}
		if c := p.rest[end]; c == '\\' && p.d.Backslash && quote != '`' {
			end++
		} else if c == quote {
			if end+1 >= len(p.rest) || p.rest[end+1] != quote {
				break
			}
			end++ // a doubled quote is one within
		}
	}
	inner, whole := p.rest[1:end], p.rest[:end+1]
	p.rest = p.rest[end+1:]
	if value && len(inner) == 2 && placeholder(inner) != 0 {
		p.bind(inner[1])
		return nil
	}
	for i := range inner {
		if value && placeholder(inner[i:]) != 0 {
			return fmt.Errorf("%s has a placeholder within a longer text: use concat()", whole)
		}
	}
	p.out.WriteString(whole)
	return nil
}

// comment leaves one out.
func (p *preparer) comment(end string) {
	_, p.rest, _ = strings.Cut(p.rest, end)
	p.out.WriteByte(' ')
}

func (p *preparer) bind(placeholder byte) {
	p.params = append(p.params, placeholder)
	p.out.WriteString(p.d.Bind(len(p.params)))
}

// placeholder is the letter of the one that s begins with, or 0. %unit is none.
func placeholder(s string) byte {
	if len(s) < 2 || s[0] != '%' || strings.IndexByte(template.Identity, s[1]) < 0 {
		return 0
	}
	if len(s) > 2 && wordByte(s[2]) {
		return 0
	}
	return s[1]
}

// wordBefore tells that a % after s is the operator: a%c is a remainder.
func wordBefore(s string) bool {
	return s != "" && (wordByte(s[len(s)-1]) || s[len(s)-1] == ')')
}

func wordByte(c byte) bool {
	return c == '_' || digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
