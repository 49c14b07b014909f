package acl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// token is a lexeme of Erlang's term syntax, as far as rules need it.
type token struct {
	kind   byte // { } [ ] , . and a atom, s string, n number, e end, ! error
	text   string
	line   int
	column int
}

// String is the token as a message names it.
func (t token) String() string {
	switch t.kind {
	case 'e':
		return "the end of the file"
	case 's':
		return "the string " + strconv.Quote(t.text)
	case 'a', 'n':
		return t.text
	}
	return strconv.Quote(string(t.kind))
}

// lexer cuts the text into tokens. Columns count characters from 1.
type lexer struct {
	text         string
	line, column int
}

func newLexer(src []byte) *lexer {
	return &lexer{text: strings.TrimPrefix(string(src), "\ufeff"), line: 1, column: 1}
}

// take consumes n bytes.
func (l *lexer) take(n int) string {
	s := l.text[:n]
	l.text = l.text[n:]
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		l.line += strings.Count(s, "\n")
		l.column, s = 1, s[i+1:]
		l.column += utf8.RuneCountInString(s)
		return s
	}
	l.column += utf8.RuneCountInString(s)
	return s
}

// blank skips white space and comments.
func (l *lexer) blank() {
	for l.text != "" {
		switch c := l.text[0]; {
		case c == '%':
			n := strings.IndexByte(l.text, '\n')
			if n < 0 {
				n = len(l.text)
			}
			l.take(n)
		case c == ' ' || c >= '\t' && c <= '\r':
			l.take(1)
		default:
			return
		}
	}
}

// next reads a token. An error is one of kind '!' whose text is the message.
func (l *lexer) next() token {
	l.blank()
	t := token{kind: 'e', line: l.line, column: l.column}
	if l.text == "" {
		return t
	}
	switch c := l.text[0]; {
	case strings.IndexByte("{}[],.", c) >= 0:
		t.kind = c
		l.take(1)
	case c == '"' || c == '\'':
		t.kind = 's'
		if c == '\'' {
			t.kind = 'a'
		}
		return l.quoted(t, c)
	case strings.HasPrefix(l.text, "<<"):
		return l.binary(t)
	case c >= 'a' && c <= 'z':
		t.kind, t.text = 'a', l.take(span(l.text, isAtomByte))
	case c >= '0' && c <= '9' || c == '-':
		t.kind, t.text = 'n', l.take(1)
		t.text += l.take(span(l.text, isAtomByte))
	default:
		r, size := utf8.DecodeRuneInString(l.text)
		l.take(size)
		t.kind, t.text = '!', fmt.Sprintf("unexpected character %q", r)
	}
	return t
}

func span(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return n
}

func isAtomByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '@'
}

// binary reads <<"text">> or <<"text"/utf8>>: to rules it is a string.
func (l *lexer) binary(t token) token {
	l.take(2)
	l.blank()
	if !strings.HasPrefix(l.text, `"`) {
		t.kind, t.text = '!', `expected a string in <<"…">>`
		return t
	}
	t.kind = 's'
	if t = l.quoted(t, '"'); t.kind == '!' {
		return t
	}
	if strings.HasPrefix(l.text, "/utf8") {
		l.take(len("/utf8"))
	}
	l.blank()
	if !strings.HasPrefix(l.text, ">>") {
		return token{kind: '!', text: "expected >> to close the binary", line: l.line, column: l.column}
	}
	l.take(2)
	return t
}

// quoted reads a string or an atom in quotes.
func (l *lexer) quoted(t token, quote byte) token {
	l.take(1)
	var b strings.Builder
	for {
		n := span(l.text, func(c byte) bool { return c != quote && c != '\\' && c != '\n' })
		b.WriteString(l.take(n))
		switch {
		case l.text == "" || l.text[0] == '\n':
			t.kind, t.text = '!', fmt.Sprintf("the closing %c is missing on this line", quote)
			return t
		case l.text[0] == quote:
			l.take(1)
			t.text = b.String()
			if !utf8.ValidString(t.text) || strings.ContainsRune(t.text, 0) {
				t.kind, t.text = '!', "the text is not UTF-8, or has a NUL in it"
			}
			return t
		}
		line, column := l.line, l.column
		r, err := l.escape()
		if err != nil {
			return token{kind: '!', text: err.Error(), line: line, column: column}
		}
		b.WriteRune(r)
	}
}

var escapes = map[byte]rune{
	'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', 'v': '\v', 'e': 0x1b, 's': ' ', 'd': 0x7f,
	'\\': '\\', '"': '"', '\'': '\'',
}

// escape reads a backslash and what belongs to it.
func (l *lexer) escape() (rune, error) {
	l.take(1)
	if l.text == "" {
		return 0, errEscape
	}
	c := l.text[0]
	l.take(1)
	if r, ok := escapes[c]; ok {
		return r, nil
	}
	if c != 'x' {
		return 0, errEscape
	}
	digits := ""
	if rest, ok := strings.CutPrefix(l.text, "{"); ok {
		digits, _, ok = strings.Cut(rest, "}")
		if !ok || len(digits) > 6 {
			return 0, errEscape
		}
		l.take(len(digits) + 2)
	} else {
		digits = l.take(min(2, len(l.text)))
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, errEscape
	}
	return rune(n), nil
}

var errEscape = errors.New(`expected one of \n \t \r \b \f \v \e \s \d \\ \" \' \xHH \x{H…} behind the backslash`)
