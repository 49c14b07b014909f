package clients

import (
	"os/exec"
	"testing"

	"emqttd/tests/testkit"
)

// TestPageWorksInChromium drives the page of the listener in the browser of
// people, which checks more than a WebSocket library does.
func TestPageWorksInChromium(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is needed: %v", err)
	}
	home := testkit.NewHome(t, "listener.ws.external = 127.0.0.1:0", "listener.wss.external = 127.0.0.1:0",
		"listener.wss.external.origins = self")
	home.Foreground()
	friends := address(t, home, "wss")
	for scheme, typ := range map[string]string{"http": "ws", "https": "wss"} {
		t.Run(scheme, func(t *testing.T) {
			script(t, "chromium.test.mjs", "TEST_BROKER="+scheme+"://"+address(t, home, typ)+"/",
				"TEST_FRIENDS=wss://"+friends+"/mqtt", "TEST_CHROMIUM="+chromium)
		})
	}
}
