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
	script(t, "mqttjs.test.mjs", "TEST_BROKER=mqtt://"+home.MQTT)
}

// TestMQTTJS5 does the same with MQTT 5.
func TestMQTTJS5(t *testing.T) {
	home, limited := scramHome(t), limitedHome(t)
	home.Foreground()
	limited.Foreground()
	script(t, "mqttjs5.test.mjs", "TEST_BROKER=mqtt://"+home.MQTT, "TEST_LIMITED=mqtt://"+limited.MQTT)
}

// script runs a file of tests with node.
func script(t *testing.T, file string, env ...string) {
	t.Helper()
	p := testkit.LaunchEnv(t, env, "node", "--test", "--test-reporter=tap", file)
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
