package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLexReadsOneSettingPerLine(t *testing.T) {
	tests := []struct {
		name, text string
		want       []entry
	}{
		{"nothing", "", nil},
		{"blank lines and comments", "\n \t\n# a = b\n   # a = b\n\r\n", nil},
		{"a line of placeholder", "{{ vars }}\n{{}}", nil},
		{"blanks around everything", "\t a.b \t=  x y \t\r\n", []entry{{line: 1, key: "a.b", value: "x y", raw: "x y"}}},
		{"no blanks", "a=b", []entry{{line: 1, key: "a", value: "b", raw: "b"}}},
		{"no value", "a =", []entry{{line: 1, key: "a"}}},
		{"a comment sign within a value", "a = b # c", []entry{{line: 1, key: "a", value: "b # c", raw: "b # c"}}},
		{"an equals sign within a value", "a = k=v", []entry{{line: 1, key: "a", value: "k=v", raw: "k=v"}}},
		{"nothing is expanded", `a = $1 ${HOME} \n "q"`, []entry{{line: 1, key: "a", value: `$1 ${HOME} \n "q"`, raw: `$1 ${HOME} \n "q"`}}},
		{"all bytes of a key", `aZ0_-@/:$.b\.c = d`, []entry{{line: 1, key: `aZ0_-@/:$.b\.c`, value: "d", raw: "d"}}},
		{"a placeholder in a value", "a ={{ platform_etc_dir }}/x", []entry{{line: 1, key: "a", value: "etc/x", raw: "{{ platform_etc_dir }}/x"}}},
		{"two placeholders", "a = {{platform_log_dir}}{{ platform_data_dir }}", []entry{{line: 1, key: "a", value: "logdata", raw: "{{platform_log_dir}}{{ platform_data_dir }}"}}},
		{"other braces", "a = {{x}} {{", []entry{{line: 1, key: "a", value: "{{x}} {{", raw: "{{x}} {{"}}},
		{"an include", "include  conf.d/*.conf ", []entry{{line: 1, include: "conf.d/*.conf"}}},
		{"a key called include", "include = x", []entry{{line: 1, key: "include", value: "x", raw: "x"}}},
		{"a key that begins with include", "included.x = y", []entry{{line: 1, key: "included.x", value: "y", raw: "y"}}},
		{"a byte order mark", "\xef\xbb\xbfa = b", []entry{{line: 1, key: "a", value: "b", raw: "b"}}},
		{"the last line without its end", "a = b\n\nc = d", []entry{{line: 1, key: "a", value: "b", raw: "b"}, {line: 3, key: "c", value: "d", raw: "d"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := lex([]byte(test.text)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestLexSaysWhatIsWrongWithoutRepeatingTheLine(t *testing.T) {
	tests := []struct{ text, want string }{
		{"sesame", "expected `key = value`"},
		{"include", "expected `key = value`"},
		{"= sesame", "no key before"},
		{"a b = sesame", `' ' may not be in a key`},
		{"sesameé = x", `'é' may not be in a key`},
		{"a..sesame = x", "empty word"},
		{".sesame = x", "empty word"},
		{"sesame. = x", "ends with a dot"},
		{`sesame\ = x`, `'\\' may not be in a key`},
		{"a = sesame\x00", "control character (U+0000)"},
		{"a = sesame\xff", "not UTF-8"},
		{"a = sesame{{ platform_x_dir }}", "platform_etc_dir"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got := lex([]byte("x = y\n" + test.text))
			if len(got) != 2 || got[1].line != 2 || !strings.Contains(got[1].problem, test.want) {
				t.Fatalf("got %+v, want a problem in line 2 with %q", got, test.want)
			}
			if strings.Contains(got[1].problem, "sesame") {
				t.Errorf("the message repeats the line: %q", got[1].problem)
			}
		})
	}
}

func TestSplitCutsAtDotsThatAreNotEscaped(t *testing.T) {
	tests := map[string][]string{
		"a":         {"a"},
		"a.b.c":     {"a", "b", "c"},
		`a.b\.c`:    {"a", `b\.c`},
		`a\.b\.c.d`: {`a\.b\.c`, "d"},
	}
	for key, want := range tests {
		if got := split(key); !reflect.DeepEqual(got, want) {
			t.Errorf("split(%q) = %q, want %q", key, got, want)
		}
	}
	if got := unescape(escape("a.b.c")); got != "a.b.c" {
		t.Errorf("unescape(escape) = %q", got)
	}
}

func FuzzLex(f *testing.F) {
	files, err := filepath.Glob(fixtures + "/plugins-v2.3.11/*.conf") // small ones: large seeds are slow to minimise
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("include x\na\\.b = {{ platform_log_dir }}\r\n= \x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		last := 0
		for _, e := range lex(text) {
			if e.line <= last {
				t.Fatalf("line %d after line %d", e.line, last)
			}
			last = e.line
			if e.key == "" {
				if (e.problem == "") == (e.include == "") {
					t.Fatalf("neither setting, include nor problem: %+v", e)
				}
				continue
			}
			if message := checkKey(e.key); message != "" {
				t.Fatalf("key %q: %s", e.key, message)
			}
			if strings.ContainsAny(e.value, "\n\x00") || strings.Trim(e.value, " \t") != e.value && e.value == e.raw {
				t.Fatalf("value %q", e.value)
			}
			again := lex([]byte(e.key + " = " + e.raw))
			e.line = 1
			if len(again) != 1 || again[0] != e {
				t.Fatalf("%+v became %+v", e, again)
			}
		}
	})
}
