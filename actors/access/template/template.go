// Package template fills in what the back ends of access are asked with: a text in
// which %u, %c and their like stand for what a client says of itself.
//
// What is filled in is never looked at again: a user name "%c" stays what it is,
// and whoever needs it quoted for a language (a filter of LDAP, a URL) hands in how
// at the moment when a value is put in.
package template

import (
	"strings"
	"unicode/utf8"

	"emqttd/actors/access"
)

// Placeholders that a Template may have, each one letter after a %.
const (
	Username = 'u'
	ClientID = 'c'
	Peer     = 'a' // IP address
	Password = 'P'
	Access   = 'A' // 1 = subscribe, 2 = publish
	Topic    = 't'
)

// Identity are the placeholders for who a client is: those that every back end knows.
const Identity = "uca"

// Values stand for the placeholders. An empty one is undefined.
type Values struct{ Username, ClientID, Peer, Password, Access, Topic string }

// Of are the values that a client has by itself.
func Of(c *access.Credentials) Values {
	return Values{Username: c.Username, ClientID: c.ClientID, Peer: c.Peer}
}

// Get is the value of a placeholder.
func (v *Values) Get(placeholder byte) string {
	switch placeholder {
	case Username:
		return v.Username
	case ClientID:
		return v.ClientID
	case Peer:
		return v.Peer
	case Password:
		return v.Password
	case Access:
		return v.Access
	case Topic:
		return v.Topic
	}
	return ""
}

// Template is a parsed text. It is immutable; the zero value is the empty text.
type Template struct {
	parts []part
}

// part is a placeholder or, where that is 0, text.
type part struct {
	text        string
	placeholder byte
}

// Parse reads a text in which the letters of known are placeholders. A % before
// another letter is itself.
func Parse(text, known string) Template {
	var t Template
	plain := 0 // where the text begins that has not become a part
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '%' || strings.IndexByte(known, text[i+1]) < 0 {
			continue
		}
		if plain < i {
			t.parts = append(t.parts, part{text: text[plain:i]})
		}
		t.parts = append(t.parts, part{placeholder: text[i+1]})
		i++
		plain = i + 1
	}
	if plain < len(text) {
		t.parts = append(t.parts, part{text: text[plain:]})
	}
	return t
}

// Uses tells whether the placeholder is in the text.
func (t Template) Uses(placeholder byte) bool {
	for _, p := range t.parts {
		if p.placeholder == placeholder {
			return true
		}
	}
	return false
}

// Fixed tells whether there is no placeholder in the text.
func (t Template) Fixed() bool {
	return len(t.parts) == 0 || len(t.parts) == 1 && t.parts[0].placeholder == 0
}

// Fill puts the values in, each as escape returns it; nil takes them as they are.
// It reports false when a value is undefined that the text needs: nothing may be
// asked then, for the answer would be about somebody else.
func (t Template) Fill(v *Values, escape func(string) string) (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.placeholder == 0 {
			b.WriteString(p.text)
			continue
		}
		value := v.Get(p.placeholder)
		if value == "" {
			return "", false
		}
		if escape != nil {
			value = escape(value)
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// Around is what stands before and after the only placeholder of a text, and which
// one it is; ok is false where there is none or several.
func (t Template) Around() (before, after string, placeholder byte, ok bool) {
	for _, p := range t.parts {
		switch {
		case p.placeholder != 0 && placeholder != 0:
			return "", "", 0, false
		case p.placeholder != 0:
			placeholder = p.placeholder
		case placeholder == 0:
			before = p.text
		default:
			after = p.text
		}
	}
	return before, after, placeholder, placeholder != 0
}

// Sound tells whether a back end can be asked about the client: its names are UTF-8
// without NUL. MQTT's codec lets no others through; the other protocols' might. A
// database would call them an error, and enough errors would close it to everybody.
func Sound(c *access.Credentials) bool { return sound(c.ClientID) && sound(c.Username) }

func sound(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// Head is the text before the first placeholder.
func (t Template) Head() string {
	if len(t.parts) == 0 || t.parts[0].placeholder != 0 {
		return ""
	}
	return t.parts[0].text
}
