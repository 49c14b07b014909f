package access

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func sourceRules(t testing.TB) ([]SourceRule, Module) {
	t.Helper()
	r := []SourceRule{
		{Network: netip.MustParsePrefix("10.1.0.0/16"), Allow: true, Username: "plant"},
		{Network: netip.MustParsePrefix("10.0.0.0/8")},
	}
	return r, Sources(r)
}

func TestACookieThatWeSignedIsWhoTheClientIs(t *testing.T) {
	key := []byte("0123456789abcdef")
	m, err := Cookies("emqttd", key, []string{"https://www.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	in, ago := time.Now().Add(time.Hour), time.Now().Add(-time.Second)
	good := SignCookie(key, "ann.b", in)
	header := func(cookie, origin string) http.Header {
		h := http.Header{"Host": {"broker.example.com:8083"}}
		if cookie != "" {
			h.Set("Cookie", "theme=dark; emqttd="+cookie)
		}
		if origin != "" {
			h.Set("Origin", origin)
		}
		return h
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte("root")) + good[strings.IndexByte(good, '.'):]
	for _, x := range []struct {
		name   string
		header http.Header
		want   Verdict
	}{
		{"no WebSocket", nil, Ignore},
		{"no cookie", header("", ""), Ignore},
		{"good", header(good, ""), Allow},
		{"good, from its page", header(good, "https://broker.example.com:8083"), Allow},
		{"good, from a page on another port", header(good, "http://BROKER.example.com"), Allow},
		{"good, from a page that is trusted", header(good, "https://www.example.com"), Allow},
		{"good, from one that is not quite", header(good, "http://www.example.com"), Deny},
		{"good, from another page", header(good, "https://evil.example.com"), Deny},
		{"good, from nowhere", header(good, "null"), Deny},
		{"of another user", header(forged, ""), Deny},
		{"of another key", header(SignCookie([]byte("another key of 16"), "ann", in), ""), Deny},
		{"expired", header(SignCookie(key, "ann", ago), ""), Deny},
		{"of nobody", header(SignCookie(key, "", in), ""), Deny},
		{"no signature", header(good[:strings.LastIndexByte(good, '.')], ""), Deny},
		{"rubbish", header("x", ""), Deny},
		{"rubbish with dots", header("..", ""), Deny},
	} {
		r, err := m.Authenticate(context.Background(), &Credentials{Header: x.header})
		if r.Verdict != x.want || err != nil {
			t.Errorf("%s: %s because %s, %v", x.name, r.Verdict, r.Why, err)
		}
		if r.Verdict == Allow && (r.Username != "ann.b" || !r.Expires.Equal(in.Truncate(time.Second))) {
			t.Errorf("%s: %s until %s", x.name, r.Username, r.Expires)
		}
	}
	if _, err := Cookies("x", []byte("short"), nil); err == nil {
		t.Error("a key that can be guessed is taken")
	}
}
