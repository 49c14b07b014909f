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
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			script(t, "ws.test.mjs", "TEST_BROKER="+scheme+"://"+address(t, home, scheme)+"/mqtt")
		})
	}
}

// TestPageOfTheListenerTalksToIt runs the script of the page, which is the same
// on a path of its own.
func TestPageOfTheListenerTalksToIt(t *testing.T) {
	for _, path := range []string{"/mqtt", "/other"} {
		t.Run(path, func(t *testing.T) {
			home := testkit.NewHome(t, "listener.ws.external = 127.0.0.1:0", "listener.ws.external.path = "+path)
			home.Foreground()
			script(t, "page.test.mjs", "TEST_BROKER=http://"+address(t, home, "ws")+"/")
		})
	}
}

// address finds a listener in the output of `emqttd_ctl listeners`.
func address(t *testing.T, home *testkit.Home, typ string) string {
	t.Helper()
	out := home.Ctl("listeners").Stdout
	m := regexp.MustCompile(`listener on mqtt:` + typ + `:(127\.0\.0\.1:\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no such listener in\n%s", out)
	}
	return m[1]
}
