//go:build simbug

package sim

import (
	"fmt"
	"testing"
)

// TestSimulationFindsTheMistakeThatIsThereOnPurpose is for a program that was built with
// the tag simbug (make sim-check).
func TestSimulationFindsTheMistakeThatIsThereOnPurpose(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		found := ""
		simulate(t, seed, func(format string, args ...any) {
			if found == "" {
				found = fmt.Sprintf(format, args...)
			}
		})
		if found != "" {
			t.Logf("seed %d: %s", seed, found)
			return
		}
	}
	t.Error("20 seeds have not found it")
}
