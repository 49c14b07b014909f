package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// Mistake is one error in a file of rules.
type Mistake struct {
	File         string
	Line, Column int // from 1; columns count characters
	Message      string
}

// Error is the place and what was expected there.
func (m *Mistake) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
}

// Parse reads the rules of a file in the Erlang terms of EMQ's etc/acl.conf:
//
//	{allow, {user, "dashboard"}, subscribe, ["$SYS/#"]}.
//	{deny, {'and', [{ipaddr, "10.0.0.0/8"}, {client, "x"}]}, pubsub, [{eq, "#"}, "a/%u"]}.
//	{allow, all}.
//
// file is the name for Rule.Origin and for errors. Where there are mistakes it
// returns all of them, each a *Mistake, joined; and no rules.
func Parse(file string, src []byte) ([]Rule, error) {
	p := &parser{lexer: newLexer(src), file: file}
	p.advance()
	var rules []Rule
	var mistakes []error
	for p.t.kind != 'e' && len(mistakes) < maxMistakes {
		r, err := p.rule()
		if err != nil {
			mistakes = append(mistakes, err)
			p.recover()
			continue
		}
		rules = append(rules, r)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return rules, nil
}

// Bounds that no file of rules in its right mind reaches.
const (
	maxMistakes = 20
	maxNesting  = 16
)

type parser struct {
	*lexer
	file string
	t    token // the one to be looked at
}

func (p *parser) advance() { p.t = p.next() }

// recover goes behind the next period.
func (p *parser) recover() {
	for p.t.kind != '.' && p.t.kind != 'e' {
		p.advance()
	}
	if p.t.kind == '.' {
		p.advance()
	}
}

func (p *parser) at(t token, format string, args ...any) error {
	return &Mistake{File: p.file, Line: t.line, Column: t.column, Message: fmt.Sprintf(format, args...)}
}

// expected is the error that the present token is not what it should be.
func (p *parser) expected(what string) error {
	if p.t.kind == '!' {
		return p.at(p.t, "%s", p.t.text)
	}
	return p.at(p.t, "expected %s; got %s", what, p.t)
}

// punct consumes a punctuation mark.
func (p *parser) punct(kind byte, what string) error {
	if p.t.kind != kind {
		return p.expected(what)
	}
	p.advance()
	return nil
}

// atom consumes one of the words.
func (p *parser) atom(what string, words ...string) (string, error) {
	for _, w := range words {
		if p.t.kind == 'a' && p.t.text == w {
			p.advance()
			return w, nil
		}
	}
	return "", p.expected(what)
}

func (p *parser) rule() (Rule, error) {
	r := Rule{Action: PubSub, Origin: p.file + ":" + strconv.Itoa(p.t.line)}
	if err := p.punct('{', "a rule such as {allow, all}."); err != nil {
		return r, err
	}
	verb, err := p.atom("allow or deny", "allow", "deny")
	if err != nil {
		return r, err
	}
	r.Allow = verb == "allow"
	if err := p.punct(',', "a comma"); err != nil {
		return r, err
	}
	who := p.t
	if r.Who, err = p.who(0); err != nil {
		return r, err
	}
	if p.t.kind == '}' && r.Who == (All{}) {
		return r, p.end()
	}
	if p.t.kind == '}' {
		return r, p.at(who, "expected all, or an action and topics behind the clients, as in {allow, {user, \"x\"}, pubsub, [\"#\"]}.")
	}
	if err := p.punct(',', "a comma"); err != nil {
		return r, err
	}
	action, err := p.atom("publish, subscribe or pubsub", "publish", "subscribe", "pubsub")
	if err != nil {
		return r, err
	}
	r.Action = map[string]Action{"publish": Publish, "subscribe": Subscribe, "pubsub": PubSub}[action]
	if err := p.punct(',', "a comma"); err != nil {
		return r, err
	}
	if r.Topics, err = list(p, "a list of topics such as [\"a/#\"]", p.topic); err != nil {
		return r, err
	}
	if p.t.kind != '}' {
		return r, p.expected("} to close the rule")
	}
	return r, p.end()
}

// end consumes the brace and the period that end a rule.
func (p *parser) end() error {
	p.advance()
	return p.punct('.', "a period at the end of the rule")
}

// list reads [x, …] with at least one element.
func list[T any](p *parser, what string, element func() (T, error)) ([]T, error) {
	if err := p.punct('[', what); err != nil {
		return nil, err
	}
	var all []T
	for {
		x, err := element()
		if err != nil {
			return nil, err
		}
		all = append(all, x)
		if p.t.kind == ']' {
			p.advance()
			return all, nil
		}
		if err := p.punct(',', "a comma or ]"); err != nil {
			return nil, err
		}
	}
}

const whoForms = `all, {user, "name"}, {client, "id"}, {ipaddr, "10.0.0.0/8"}, {'and', [...]} or {'or', [...]}`

func (p *parser) who(nesting int) (Matcher, error) {
	if p.t.kind == 'a' && p.t.text == "all" {
		p.advance()
		return All{}, nil
	}
	if p.t.kind != '{' || nesting > maxNesting {
		return nil, p.expected(whoForms)
	}
	p.advance()
	form, err := p.atom("user, client, ipaddr, 'and' or 'or'", "user", "client", "ipaddr", "and", "or")
	if err != nil {
		return nil, err
	}
	if err := p.punct(',', "a comma"); err != nil {
		return nil, err
	}
	var m Matcher
	switch form {
	case "and", "or":
		m, err = p.combined(form, nesting)
	default:
		m, err = p.simple(form)
	}
	if err != nil {
		return nil, err
	}
	return m, p.punct('}', "} to close the clients")
}

func (p *parser) combined(form string, nesting int) (Matcher, error) {
	all, err := list(p, "a list of clients such as ["+`{user, "x"}`+"]", func() (Matcher, error) { return p.who(nesting + 1) })
	if form == "and" {
		return And(all), err
	}
	return Or(all), err
}

// simple reads what stands behind {user, {client, or {ipaddr,.
func (p *parser) simple(form string) (Matcher, error) {
	t := p.t
	if form != "ipaddr" && t.kind == 'a' && t.text == "all" {
		p.advance()
		return All{}, nil
	}
	if t.kind != 's' {
		return nil, p.expected(map[string]string{
			"user": "a user name in double quotes, or all", "client": "a client identifier in double quotes, or all",
			"ipaddr": "an IP address or CIDR in double quotes",
		}[form])
	}
	p.advance()
	switch form {
	case "user":
		return User(t.text), nil
	case "client":
		return ClientID(t.text), nil
	}
	n, err := ParseNetwork(t.text)
	if err != nil {
		return nil, p.at(t, "expected an IP address or a CIDR such as \"10.0.0.0/8\"; got %q", t.text)
	}
	if !netip.Prefix(n).IsValid() {
		return nil, p.at(t, "expected fewer bits in the CIDR; got %q", t.text)
	}
	return n, nil
}

func (p *parser) topic() (Pattern, error) {
	if p.t.kind != '{' {
		return p.pattern(newDollarPattern, `a topic in double quotes, or {eq, "topic"}`)
	}
	p.advance()
	if _, err := p.atom("eq", "eq"); err != nil {
		return Pattern{}, err
	}
	if err := p.punct(',', "a comma"); err != nil {
		return Pattern{}, err
	}
	pattern, err := p.pattern(NewLiteral, "a topic in double quotes")
	if err != nil {
		return Pattern{}, err
	}
	return pattern, p.punct('}', "} to close the topic")
}

func newDollarPattern(filter string) (Pattern, error) { return newPattern(filter, false) }

func (p *parser) pattern(compile func(string) (Pattern, error), what string) (Pattern, error) {
	if p.t.kind != 's' {
		return Pattern{}, p.expected(what)
	}
	t := p.t
	pattern, err := compile(t.text)
	if err != nil {
		return pattern, p.at(t, "%q is not a topic filter: %v", t.text, err)
	}
	p.advance()
	return pattern, nil
}
