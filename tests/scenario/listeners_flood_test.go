package scenario

import (
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"emqttd/tests/testkit"
)

// TestFloodsAreCountedByReasonAndLoggedOnce sends every kind of bad beginning
// many times and looks at what the node says about it, while a client is served.
func TestFloodsAreCountedByReasonAndLoggedOnce(t *testing.T) {
	const many = 100
	home := testkit.NewHome(t, "listener.ssl.external = 127.0.0.1:0", "listener.ssl.external.handshake_timeout = 300ms",
		"listener.ws.external = 127.0.0.1:0",
		"listener.tcp.proxied = 127.0.0.1:0", "listener.tcp.proxied.proxy_protocol = on", "listener.tcp.proxied.proxy_protocol_trusted = 10.0.0.0/8",
		"listener.tcp.closed = [::1]:0", "listener.tcp.closed.access.1 = deny all")
	p := home.Foreground()
	out := home.Ctl("listeners").Stdout
	at := func(pattern string) string {
		m := regexp.MustCompile(`listener on mqtt:` + pattern).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no %s in\n%s", pattern, out)
		}
		return m[1]
	}
	ssl, web, closed := at(`ssl:(\S+)`), at(`ws:(\S+)`), at(`tcp:(\[::1\]:\d+)`)
	var proxied string
	for _, m := range regexp.MustCompile(`listener on mqtt:tcp:(127\.0\.0\.1:\d+)`).FindAllStringSubmatch(out, -1) {
		if m[1] != home.MQTT {
			proxied = m[1]
		}
	}
	client := testkit.Dial(t, home.MQTT)
	client.Connect(testkit.Hello("served"))
	upgrade := " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, f := range []struct{ reason, addr, bytes string }{
		{"tls_error", ssl, "GET / HTTP/1.1\r\n\r\n"},
		{"tls_timeout", ssl, "\x16\x03\x01\x02\x00\x01"}, // half a ClientHello
		{"ws_not_found", web, "GET /wrong" + upgrade + "\r\n"},
		{"ws_bad_request", web, "GET /mqtt" + upgrade + "Sec-WebSocket-Protocol: chat\r\n\r\n"},
		{"proxy_untrusted", proxied, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"},
		{"access_denied", closed, ""},
		{"first_packet_not_connect", home.MQTT, "\xc0\x00"},
	} {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range many / 10 {
					c, err := net.Dial("tcp", f.addr)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(c, f.bytes) // it may be closed already
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}
			})
		}
		wg.Wait()
		client.Ping()
		testkit.Eventually(t, "all "+f.reason+" are counted", func() bool {
			total := 0
			for _, m := range regexp.MustCompile(`\{`+f.reason+`,(\d+)\}`).FindAllStringSubmatch(home.Ctl("listeners").Stdout, -1) {
				n, _ := strconv.Atoi(m[1])
				total += n
			}
			return total == many
		})
		// Once, and once more should a minute have gone by.
		if n := strings.Count(p.Log(), "reason="+f.reason+" "); n < 1 || n > 3 {
			t.Errorf("%s is logged %d times", f.reason, n)
		}
	}
}
