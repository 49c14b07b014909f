package clients

import (
	"regexp"
	"testing"

	"emqttd/tests/testkit"
)

// TestMQTTJSOverWebSocket runs ws.test.mjs against both kinds of listener.
func TestMQTTJSOverWebSocket(t *testing.T) {
	home := testkit.NewHome(t, "listener.ws.external = 127.0.0.1:0", "listener.wss.external = 127.0.0.1:0")
	home.Foreground()
	listeners := home.Ctl("listeners").Stdout
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			m := regexp.MustCompile(`listener on mqtt:` + scheme + `:(127\.0\.0\.1:\d+)`).FindStringSubmatch(listeners)
			if m == nil {
				t.Fatalf("no such listener in\n%s", listeners)
			}
			script(t, "ws.test.mjs", "TEST_BROKER="+scheme+"://"+m[1]+"/mqtt")
		})
	}
}
