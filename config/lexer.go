package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// An entry is one line of a configuration file that says something: a setting,
// an include when include is not empty, or a mistake when problem is not empty.
type entry struct {
	line    int    // from 1
	key     string // as written, with its escapes
	value   string // without surrounding blanks, placeholders resolved
	raw     string // the value as written
	include string // a glob, relative to the folder of the file
	problem string // it never repeats the line: there may be a password in it
}

// lex reads the text of a configuration file.
//
// It is the grammar of EMQ 2.x: one `key = value` per line, and the value runs
// to the end of the line, so there are no quotes, no escapes, no continuation
// and no comments behind a value. A line whose first visible character is # is
// a comment. A key is made of words of [A-Za-z0-9_-@/:$], joined by dots; a dot
// within a word is written `\.`. `include GLOB` takes in other files. A line
// that is nothing but a placeholder, `{{ name }}`, is skipped.
//
// Ready-made parsers fail on such files: they expand the $1 of a rewrite rule,
// turn \n into a newline, or cut a password at its first ` #`.
func lex(src []byte) []entry {
	var entries []entry
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")) // some editors put a byte order mark first
	for n := 1; len(src) > 0; n++ {
		line, rest, _ := bytes.Cut(src, []byte("\n"))
		src = rest
		if e, ok := lexLine(string(bytes.Trim(line, " \t\r"))); ok {
			e.line = n
			entries = append(entries, e)
		}
	}
	return entries
}

// lexLine reads one line without surrounding blanks. ok is false where it says
// nothing.
func lexLine(line string) (e entry, ok bool) {
	if line == "" || line[0] == '#' || isPlaceholder(line) {
		return entry{}, false
	}
	if message := checkText(line); message != "" {
		return entry{problem: message}, true
	}
	if glob, ok := cutInclude(line); ok {
		return entry{include: glob}, true
	}
	key, value, found := strings.Cut(line, "=")
	if !found {
		return entry{problem: "expected `key = value`"}, true
	}
	key = strings.TrimRight(key, " \t")
	if message := checkKey(key); message != "" {
		return entry{problem: message}, true
	}
	raw := strings.TrimLeft(value, " \t")
	value, message := resolvePlaceholders(raw)
	if message != "" {
		return entry{problem: message}, true
	}
	return entry{key: key, value: value, raw: raw}, true
}

// checkText refuses what no editor writes into a settings file on purpose.
func checkText(line string) string {
	if !utf8.ValidString(line) {
		return "the line is not UTF-8"
	}
	for _, r := range line {
		if r < ' ' && r != '\t' || r == 0x7f {
			return fmt.Sprintf("the line has a control character (%#U)", r)
		}
	}
	return ""
}

// cutInclude tells whether the line is `include GLOB`. `include = x` is a setting.
func cutInclude(line string) (glob string, ok bool) {
	rest, ok := strings.CutPrefix(line, "include")
	if !ok {
		return "", false
	}
	glob = strings.TrimLeft(rest, " \t")
	if glob == rest || glob == "" || glob[0] == '=' {
		return "", false
	}
	return glob, true
}

// checkKey says what is wrong with a key, or nothing.
func checkKey(key string) string {
	if key == "" {
		return "expected `key = value`: there is no key before the `=`"
	}
	word := 0 // length of the current word
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '\\' && i+1 < len(key) && key[i+1] == '.':
			i++
			word++
		case c == '.':
			if word == 0 {
				return "the key has an empty word: two dots in a row, or a dot in front"
			}
			word = 0
		case isWordByte(c):
			word++
		default:
			r, _ := utf8.DecodeRuneInString(key[i:])
			return fmt.Sprintf("%q may not be in a key", r)
		}
	}
	if word == 0 {
		return "the key ends with a dot"
	}
	return ""
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-@/:$", c) >= 0
}

// placeholders are the names that EMQ's packages fill in when they are built.
var placeholders = map[string]string{
	"platform_etc_dir":  "etc",
	"platform_data_dir": "data",
	"platform_log_dir":  "log",
}

// isPlaceholder tells whether s is `{{ name }}` and nothing else.
func isPlaceholder(s string) bool {
	return strings.HasPrefix(s, "{{") && strings.Index(s, "}}") == len(s)-2
}

// resolvePlaceholders replaces `{{ platform_log_dir }}` and its like. Other
// text in double braces is left alone: it may be part of a value.
func resolvePlaceholders(s string) (resolved, message string) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), ""
		}
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.Trim(name, " \t")
		text, known := placeholders[name]
		switch {
		case closed && known:
			b.WriteString(text)
			s = after
		case closed && strings.HasPrefix(name, "platform_"):
			return "", "the placeholder is not one of platform_etc_dir, platform_data_dir, platform_log_dir"
		default:
			b.WriteString("{{")
			s = rest
		}
	}
}
