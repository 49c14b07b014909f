package script

import (
	"fmt"
	"strconv"
	"strings"
)

// Line is one step of an exchange.
type Line struct {
	Number int    // in its file
	Only   byte   // protocol level, 0 for all
	Text   string // with everything still to be replaced
}

// Test is an exchange that decides, or helps to decide, a statement.
type Test struct {
	Name   string // version/statement title
	Level  byte
	Steps  []Line
	Faults []string // how the wrong broker breaks it
	File   string
}

// Statement is a normative statement of a version.
type Statement struct {
	Version string // "3.1.1" or "5.0"
	ID      string // "MQTT-3.1.0-1"
	Text    string // the requirement in our words
	Why     string // why no test of a server decides it; "" if tests do
	Tests   []*Test
}

// Key is version and id.
func (s *Statement) Key() string { return s.Version + "/" + s.ID }

// File is a part of the statements of a version.
type File struct{ Version, Name, Text string }

// Levels are the protocol levels of the versions.
var Levels = map[string]byte{"3.1.1": 4, "5.0": 5}

type shared struct {
	title string
	body  []Line
}

// Parse reads files of statements. Files of version "" hold exchanges that
// statements of several versions share.
//
//	[ID] requirement         a statement
//	? reason                 it cannot be decided
//	- title                  a test, whose exchange follows, indented
//	= name                   the shared exchange of that name
//	* name title             defines it
func Parse(files []File) ([]*Statement, error) {
	p := parser{shared: map[string]*shared{}, seen: map[string]bool{}}
	for _, pass := range []bool{true, false} {
		for _, f := range files {
			if (f.Version == "") == pass {
				if err := p.file(f); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, s := range p.statements {
		if (s.Why == "") == (len(s.Tests) == 0) {
			return nil, fmt.Errorf("%s: want either tests or a reason why there are none", s.Key())
		}
	}
	return p.statements, nil
}

type parser struct {
	statements []*Statement
	shared     map[string]*shared
	seen       map[string]bool
}

func (p *parser) file(f File) error {
	var into *[]Line
	var test *Test
	for i, raw := range strings.Split(f.Text, "\n") {
		where := fmt.Sprintf("%s:%d", f.Name, i+1)
		text := strings.TrimSpace(raw)
		if text == "" || strings.HasPrefix(text, "//") {
			continue
		}
		if raw[0] == ' ' {
			if into == nil {
				return fmt.Errorf("%s: a step outside of a test", where)
			}
			*into = append(*into, line(i+1, text))
			continue
		}
		if test != nil {
			test.finish()
		}
		test, into = nil, nil
		mark, rest, _ := strings.Cut(text, " ")
		switch {
		case mark == "*":
			name, title, _ := strings.Cut(rest, " ")
			p.shared[name] = &shared{title: title}
			into = &p.shared[name].body
		case strings.HasPrefix(mark, "[") && strings.HasSuffix(mark, "]"):
			s := &Statement{Version: f.Version, ID: mark[1 : len(mark)-1], Text: rest}
			if p.seen[s.Key()] {
				return fmt.Errorf("%s: %s twice", where, s.Key())
			}
			p.seen[s.Key()] = true
			p.statements = append(p.statements, s)
		case len(p.statements) == 0:
			return fmt.Errorf("%s: no statement yet", where)
		case mark == "?":
			p.statements[len(p.statements)-1].Why = rest
		case mark == "-":
			test = p.add(rest, f.Name)
			into = &test.Steps
		case mark == "=":
			sh := p.shared[rest]
			if sh == nil {
				return fmt.Errorf("%s: no shared exchange %q", where, rest)
			}
			t := p.add(sh.title, "shared:"+rest)
			t.Steps = sh.body
			t.finish()
		default:
			return fmt.Errorf("%s: what is %q?", where, text)
		}
	}
	if test != nil {
		test.finish()
	}
	return nil
}

func line(n int, text string) Line {
	l := Line{Number: n, Text: text}
	if rest, ok := strings.CutPrefix(text, "4: "); ok {
		l.Only, l.Text = 4, rest
	} else if rest, ok := strings.CutPrefix(text, "5: "); ok {
		l.Only, l.Text = 5, rest
	}
	return l
}

func (p *parser) add(title, file string) *Test {
	s := p.statements[len(p.statements)-1]
	t := &Test{Name: s.Key() + " " + title, Level: Levels[s.Version], File: file}
	s.Tests = append(s.Tests, t)
	return t
}

// finish keeps the lines of the test's own version and parts steps from faults.
func (t *Test) finish() {
	var steps []Line
	for _, l := range t.Steps {
		switch {
		case l.Only != 0 && l.Only != t.Level:
		case strings.HasPrefix(l.Text, "! "):
			t.Faults = append(t.Faults, l.Text[2:])
		default:
			steps = append(steps, l)
		}
	}
	t.Steps = steps
}

// Unescape replaces \s \t \0 \xNN.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 's':
			b.WriteByte(' ')
		case 't':
			b.WriteByte('\t')
		case '0':
			b.WriteByte(0)
		case 'x':
			n, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
			b.WriteString(`\x`)
		default:
			b.WriteString(s[i-1 : i+1])
		}
	}
	return b.String()
}
