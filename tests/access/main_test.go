// Package access tests who may connect, publish and subscribe with real clients,
// a real broker and real back ends: what is let in, what is refused and with
// which code, how soon a right ends that was taken away, what the ways around the
// rules lead to, and what a bad back end costs everybody else.
package access

import (
	"fmt"
	"os"
	"testing"

	"emqttd/tests/backends/servers"
	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.StopAll(); err != nil {
		fmt.Fprintf(os.Stderr, "stop the servers: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(testkit.After(code))
}
