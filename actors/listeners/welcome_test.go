package listeners

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"emqttd/config"
)

func TestUnknownAddressIsMatchedByRulesForAllOnly(t *testing.T) {
	pipe, _ := net.Pipe()
	only := config.AccessRule{Network: netip.MustParsePrefix("0.0.0.0/0")}
	if !allowed([]config.AccessRule{only}, pipe.RemoteAddr()) {
		t.Error("a network keeps out who has no address")
	}
	if allowed([]config.AccessRule{only, {}}, pipe.RemoteAddr()) {
		t.Error("deny all lets somebody in")
	}
	mapped := &net.TCPAddr{IP: net.ParseIP("::ffff:10.1.2.3")}
	if allowed([]config.AccessRule{{Network: netip.MustParsePrefix("10.0.0.0/8")}}, mapped) {
		t.Error("an IPv4 address in the form of IPv6 gets past a rule for IPv4")
	}
}

func TestThrottledReadWaitsAsLongAsTheLimitAsks(t *testing.T) {
	th := newThrottled(nil, config.Rate{1000, 500})
	now := time.Now()
	for _, step := range []struct {
		n    int
		want time.Duration
	}{{400, 0}, {600, 0}, {500, time.Second}, {2500, 6 * time.Second}} {
		if got := th.spend(now, step.n); got.Round(time.Millisecond) != step.want {
			t.Errorf("%d bytes: wait %v, want %v", step.n, got, step.want)
		}
	}
	if got := th.spend(now.Add(8*time.Second), 1000); got != 0 {
		t.Errorf("after a rest: wait %v", got)
	}
}

func TestProxyHeaderIsReadToItsEndAndNoFurther(t *testing.T) {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
	for _, header := range []string{
		"PROXY UNKNOWN\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", v2, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		r := strings.NewReader(header + "MQTT")
		b, err := readProxyHeader(r)
		if rest, _ := io.ReadAll(r); err != nil || string(b) != header || string(rest) != "MQTT" {
			t.Errorf("%q: got %q, left %q, %v", header, b, rest, err)
		}
	}
	for _, bad := range []string{
		"GET / HTTP/1.1\r\n\r\n", "PROXY " + strings.Repeat("x", 200), "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
	} {
		if _, err := readProxyHeader(strings.NewReader(bad)); !errors.Is(err, errNoProxyHeader) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzAnswer: whatever is asked, the answer is HTTP, and only a good request is
// upgraded.
func FuzzAnswer(f *testing.F) {
	const headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	f.Add([]byte("GET /mqtt HTTP/1.1\r\n" + headers + "Sec-WebSocket-Protocol: mqtt\r\n\r\n"))
	f.Add([]byte("GET /mqtt HTTP/1.1\r\n" + headers + "\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		answer, reason, err := (&upgrade{WebSocket: new(WebSocket)}).answer(head)
		r, e := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if e != nil {
			t.Fatalf("%q: %v", answer, e)
		}
		_ = r.Body.Close()
		if upgraded := r.StatusCode == http.StatusSwitchingProtocols; upgraded != (reason == "") {
			t.Fatalf("%s, %q %v", r.Status, reason, err)
		}
	})
}
