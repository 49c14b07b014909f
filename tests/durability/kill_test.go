package durability

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"emqttd/tests/durability/checker"
	"emqttd/tests/testkit"
)

// kills is how often the process is killed: TEST_KILLS, or a number that fits
// into make test.
func kills(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("TEST_KILLS")); err == nil {
		return n
	}
	return usual
}

// TestKilledProcessLosesNothingThatWasAcknowledged kills the real program under
// load, again and again. docs/durability.md has the same with 100 kills, and with
// mosquitto (go doc ./tests/durability/killer).
func TestKilledProcessLosesNothingThatWasAcknowledged(t *testing.T) {
	h := testkit.NewHome(t, "log.console.level = error")
	n := seed(t)
	w := checker.New(n, checker.Everybody())
	s := &checker.Server{Addr: h.MQTT, Command: []string{testkit.Binary(t, "emqttd"), "-c", h.Conf, "foreground"}}
	faults, err := w.Kills(s, rand.New(rand.NewPCG(n, 1)), kills(6), 3000, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) > 0 {
		t.Fatalf("after %d kills:\n%s", kills(6), strings.Join(faults, "\n"))
	}
	t.Logf("%d kills: %+v", kills(6), w.Stats())
}
