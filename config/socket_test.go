package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestAListenerMayBeAUnixSocket(t *testing.T) {
	cfg, p := Load(Sources{File: write(t, `listener.tcp.a = unix:/run//x.sock
listener.tcp.a.socket_mode = 600
listener.ws.b = unix:x.sock
listener.ssl.c = 127.0.0.1:1
`)})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"/run/x.sock true 600", "x.sock true 660", "127.0.0.1:1 false 660"} {
		l := &cfg.Listeners[i]
		path, ok := l.SocketPath()
		mode, err := l.SocketPerm()
		if got := fmt.Sprintf("%s %v %o", path, ok, mode); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	for _, bad := range []string{
		"listener.tcp.a = unix:", "listener.tcp.a = unix:/run/",
		"listener.tcp.a = unix:/x\nlistener.ws.b = unix:/x", "listener.api.a = unix:/x",
	} {
		if got := complaints(t, Sources{File: write(t, bad)}); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

func TestOptionsOfWebSocketsAreChecked(t *testing.T) {
	const trusted = "listener.ws.a.proxy_protocol_trusted = 10.0.0.1\nlistener.ws.a."
	for line, want := range map[string]string{
		"origins = example.com":                                                                                 "expected self, or scheme://host",
		"origins = https://example.com/path":                                                                    "expected self, or scheme://host",
		"origins = https://a.*.com":                                                                             "expected self, or scheme://host",
		"origins = self,https://*.example.com:8443,http://x":                                                    "",
		"proxy_address_header = X-Forwarded-For":                                                                "proxy_protocol_trusted",
		"proxy_port_header = X-Forwarded-Port":                                                                  "proxy_protocol_trusted",
		trusted[len("listener.ws.a."):] + "proxy_address_header = X-Forwarded-For":                              "",
		trusted[len("listener.ws.a."):] + "proxy_address_header = X Y":                                          "name of a header",
		trusted[len("listener.ws.a."):] + "proxy_address_header = X-Real-Ip\nlistener.ws.a.proxy_protocol = on": "PROXY protocol",
	} {
		got := complaints(t, Sources{File: write(t, "listener.ws.a = 127.0.0.1:1\nlistener.ws.a."+line+"\n")})
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
