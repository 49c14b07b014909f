package clients

import (
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

// TestMQTTJS runs mqttjs.test.mjs, which reports its own cases, against the real
// program.
func TestMQTTJS(t *testing.T) {
	home := testkit.NewHome(t)
	home.Foreground()
	p := testkit.LaunchEnv(t, []string{"TEST_BROKER=mqtt://" + home.MQTT},
		"node", "--test", "--test-reporter=tap", "mqttjs.test.mjs")
	code := p.Wait()
	cases := 0
	for line := range strings.Lines(p.Output()) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "ok "):
			cases++
		case strings.HasPrefix(line, "not ok "):
			t.Error(line)
		}
	}
	if code != 0 || cases == 0 || strings.Contains(p.Output(), "# SKIP") {
		t.Errorf("exit %d, %d cases\n%s", code, cases, p.Output())
	}
}
