package listeners

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// asked is a request for a WebSocket with more headers.
func asked(headers ...string) []byte {
	return []byte("GET /mqtt HTTP/1.1\r\nHost: Broker.example:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n" +
		strings.Join(append(headers, "\r\n"), "\r\n"))
}

func TestOriginsAreThoseOfTheListOnly(t *testing.T) {
	list := []string{"self", "https://app.example", "https://*.below.example:8443"}
	for _, c := range []struct {
		origins string
		secure  bool
		in      bool
	}{
		{"", false, true},
		{"Origin: https://app.example", false, true},
		{"origin: HTTPS://APP.example", false, true},
		{"Origin: http://app.example", false, false},
		{"Origin: https://app.example:444", false, false},
		{"Origin: https://app.example.evil", false, false},
		{"Origin: https://evil-app.example", false, false},
		{"Origin: https://x.below.example:8443", false, true},
		{"Origin: https://x.y.below.example:8443", false, true},
		{"Origin: https://below.example:8443", false, false},
		{"Origin: https://.below.example:8443", false, false},
		{"Origin: http://broker.example:8083", false, true},
		{"Origin: https://broker.example:8083", false, false},
		{"Origin: https://broker.example:8083", true, true},
		{"Origin: null", false, false},
		{"Origin: https://app.example\r\nOrigin: https://app.example", false, false},
	} {
		u := upgrade{WebSocket: &WebSocket{Origins: list}, secure: c.secure}
		head := asked()
		if c.origins != "" {
			head = asked(c.origins)
		}
		answer, reason, err := u.answer(head)
		if (reason == "") != c.in || (err == nil) != c.in {
			t.Errorf("%q: %q, %v", c.origins, reason, err)
		}
		if !c.in && (reason != "ws_origin" || !strings.HasPrefix(string(answer), "HTTP/1.1 403 ")) {
			t.Errorf("%q: %q, answered %q", c.origins, reason, answer)
		}
	}
	if _, reason, _ := (&upgrade{WebSocket: &WebSocket{}}).answer(asked("Origin: null")); reason != "" {
		t.Errorf("without a list: %s", reason)
	}
}

func TestHeadersThatSayWhoAsksArePassedOn(t *testing.T) {
	u := upgrade{WebSocket: &WebSocket{}}
	head := asked("cookie: a=1", "Cookie: b=2", "Authorization: Basic xyz", "X-Forwarded-For: 1.2.3.4", "Origin: http://x", "User-Agent: test", "X-Other: no")
	if _, reason, err := u.answer(head); reason != "" {
		t.Fatal(reason, err)
	}
	clear(head) // they are copies
	if got := strings.Join(u.kept["Cookie"], ";"); got != "a=1;b=2" {
		t.Errorf("cookies %q", got)
	}
	for name, want := range map[string]string{
		"Authorization": "Basic xyz", "X-Forwarded-For": "1.2.3.4", "Origin": "http://x", "User-Agent": "test", "X-Other": "", "Host": "Broker.example:8083",
	} {
		if got := u.kept.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAddressInAHeaderIsTheLastOneThatIsNoProxy(t *testing.T) {
	w := &WebSocket{
		AddressHeader: "x-forwarded-for", PortHeader: "X-Forwarded-Port", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	peer := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5}
	for headers, want := range map[string]string{
		"X-Forwarded-For: 192.0.2.1":                              "192.0.2.1:0",
		"X-Forwarded-For: 6.6.6.6, 192.0.2.1":                     "192.0.2.1:0",
		"X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1":           "192.0.2.1:0",
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.1.1.1": "192.0.2.1:0",
		"X-Forwarded-For: [2001:db8::1]:99":                       "[2001:db8::1]:99",
		"X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Port: 77":    "[2001:db8::1]:77",
		"X-Forwarded-For: forged, 10.2.2.2":                       "10.2.2.2:0",
		"X-Forwarded-Port: 77":                                    "10.0.0.1:77",
		"X-Forwarded-Port: 99999":                                 "",
		"X-Forwarded-For: nonsense":                               "",
		"X-Other: 192.0.2.1":                                      "",
	} {
		var told net.Addr
		u := upgrade{WebSocket: w, peer: peer, admit: func(a net.Addr) string { told = a; return "" }}
		if _, reason, err := u.answer(asked(headers)); reason != "" {
			t.Fatal(reason, err)
		}
		got := ""
		if u.client != nil {
			got = u.client.String()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", headers, got, want)
		}
		if told == nil {
			t.Errorf("%s: nobody asks whether it may come in", headers)
		}
	}
	if w.believes(&net.TCPAddr{IP: net.IPv4(11, 0, 0, 1)}) {
		t.Error("somebody else is believed")
	}
}
