package template

import (
	"strings"
	"testing"

	"emqttd/actors/access"
)

func TestFillPutsValuesInOnceAndDoesNotLookAtThemAgain(t *testing.T) {
	v := Values{Username: "%c%u", ClientID: "id", Peer: "10.0.0.1", Topic: "a/b"}
	for _, c := range []struct{ text, known, want string }{
		{"", Identity, ""},
		{"plain", Identity, "plain"},
		{"%u", Identity, "%c%u"},
		{"a:%u:%c:%a", Identity, "a:%c%u:id:10.0.0.1"},
		{"%u%u", Identity, "%c%u%c%u"},
		{"%t %x %", Identity, "%t %x %"},
		{"%t", "t", "a/b"},
		{"%%u", Identity, "%%c%u"},
	} {
		if got, ok := Parse(c.text, c.known).Fill(&v, nil); !ok || got != c.want {
			t.Errorf("%q is %q, %t; want %q", c.text, got, ok, c.want)
		}
	}
}

func TestFillEscapesValuesAndNotTheText(t *testing.T) {
	v := Values{Username: "a b"}
	got, ok := Parse("x y %u", Identity).Fill(&v, func(s string) string { return strings.ReplaceAll(s, " ", "_") })
	if !ok || got != "x y a_b" {
		t.Fatalf("got %q, %t", got, ok)
	}
}

func TestFillRefusesAnUndefinedValue(t *testing.T) {
	if got, ok := Parse("user:%u", Identity).Fill(&Values{ClientID: "c"}, nil); ok {
		t.Fatalf("got %q for a client without a user name", got)
	}
}

func TestAroundKnowsTheOnlyPlaceholder(t *testing.T) {
	for _, c := range []struct {
		text, before, after string
		placeholder         byte
		ok                  bool
	}{
		{"mqtt_user:%u", "mqtt_user:", "", 'u', true},
		{"{%c}:acl", "{", "}:acl", 'c', true},
		{"%u:%c", "", "", 0, false},
		{"fixed", "fixed", "", 0, false},
	} {
		before, after, p, ok := Parse(c.text, Identity).Around()
		if ok != c.ok || ok && (before != c.before || after != c.after || p != c.placeholder) {
			t.Errorf("%q: %q, %q, %c, %t", c.text, before, after, p, ok)
		}
	}
}

func TestSoundRefusesWhatNoDatabaseTakes(t *testing.T) {
	for _, c := range []struct {
		id, user string
		want     bool
	}{
		{"c", "u", true},
		{"", "", true},
		{"ü", "名", true},
		{"a\x00b", "u", false},
		{"c", "u\x00", false},
		{"c", "\xff", false},
		{"\xc3\x28", "u", false},
	} {
		if got := Sound(&access.Credentials{ClientID: c.id, Username: c.user}); got != c.want {
			t.Errorf("%q, %q: %t", c.id, c.user, got)
		}
	}
}
