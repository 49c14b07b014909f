// Package cluster tests several nodes from outside: real processes that find each
// other through a real Consul, reach each other through proxies which delay and cut
// (package fault), and are killed and paused. Each scenario holds the cluster against
// what must be true whatever happens:
//
//   - a client identifier has one live session, and can be reached;
//   - no message of QoS 1 is lost, and none of QoS 2 comes twice or not at all, between
//     nodes that live and can reach each other within the down limit;
//   - route tables are equal within five seconds of the end of a fault;
//   - no actor is left over.
//
// `go test` runs short forms. TEST_CLUSTER=long adds five nodes and pauses of a minute.
package cluster

import (
	"os"
	"testing"

	"emqttd/tests/backends/servers"
	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.After(servers.Main(m))) }

// long tells whether there is time for everything.
func long() bool { return os.Getenv("TEST_CLUSTER") == "long" }
