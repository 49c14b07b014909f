// Package scenario tests the broker from outside: the real program with real
// clients, and a node in this process where the test must break it.
package scenario

import (
	"os"
	"testing"

	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(swarmAddr) != "" {
		os.Exit(swarmMain())
	}
	os.Exit(testkit.Main(m))
}
