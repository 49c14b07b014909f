package scenario

import (
	"fmt"
	"os"
	"testing"

	"emqttd/tests/testkit"
)

const (
	// swarmAddr names the variable with the broker's address. Where it is set
	// this program is not a test but two thousand clients.
	swarmAddr = "TEST_SWARM_ADDR"
	swarmSize = 2000
)

// swarm is the testing.TB of a program that is no test: what fails ends it.
type swarm struct{ testing.TB }

func (swarm) Helper()                   {}
func (swarm) Cleanup(func())            {} // the end of the process closes its sockets
func (s swarm) Fatal(args ...any)       { s.Fatalf("%s", fmt.Sprint(args...)) }
func (swarm) Fatalf(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...); os.Exit(1) }

// swarmMain connects, waits for a message that everybody gets, and lets each
// client send one to the next.
func swarmMain() int {
	clients := make([]*testkit.Client, swarmSize)
	inParallel(swarmSize, func(i int) {
		c := testkit.Dial(swarm{}, os.Getenv(swarmAddr))
		c.Connect(testkit.Hello(fmt.Sprintf("swarm-%d", i)))
		c.Subscribe(1, "swarm", fmt.Sprintf("swarm/%d", i))
		clients[i] = c
	})
	fmt.Println("subscribed")
	inParallel(swarmSize, func(i int) { clients[i].ExpectPublish("swarm", "go") })
	inParallel(swarmSize, func(i int) { clients[i].Publish(fmt.Sprintf("swarm/%d", (i+1)%swarmSize), "next", 0, 0) })
	inParallel(swarmSize, func(i int) { clients[i].ExpectPublish(fmt.Sprintf("swarm/%d", i), "next") })
	fmt.Println("done")
	inParallel(swarmSize, func(i int) { clients[i].Disconnect() })
	return 0
}
