package scenario

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"emqttd/actors/system/metrics"
	"emqttd/tests/testkit"
)

// inParallel calls f for 0 … n-1 from a few goroutines.
func inParallel(n int, f func(i int)) {
	const workers = 8
	var wait sync.WaitGroup
	for w := range workers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := w; i < n; i += workers {
				f(i)
			}
		}()
	}
	wait.Wait()
}

// TestTenThousandConnectionsInMemoryExchangeMessages: each gets one message of
// its own and one that all get, from a broker whose file descriptors do not
// matter.
func TestTenThousandConnectionsInMemoryExchangeMessages(t *testing.T) {
	const n = 10_000
	b := testkit.Start(t)
	clients := make([]*testkit.Client, n)
	for i := range clients {
		clients[i] = b.DialMemory(t)
	}
	inParallel(n, func(i int) {
		clients[i].Connect(testkit.Hello(fmt.Sprintf("many-%d", i)))
		clients[i].Subscribe(1, fmt.Sprintf("one/%d", i), "all")
	})
	if got := b.Metrics().Level(metrics.Clients); got != n {
		t.Errorf("%d clients", got)
	}
	inParallel(n, func(i int) { clients[i].Publish(fmt.Sprintf("one/%d", (i+1)%n), "yours", 0, 0) })
	inParallel(n, func(i int) { clients[i].ExpectPublish(fmt.Sprintf("one/%d", i), "yours") })
	clients[0].Publish("all", "everybody's", 0, 0)
	inParallel(n, func(i int) { clients[i].ExpectPublish("all", "everybody's") })
	inParallel(n, func(i int) { clients[i].Disconnect() })
	testkit.Eventually(t, "nobody is left", func() bool {
		return b.Metrics().Level(metrics.Sessions) == 0 && b.Metrics().Level(metrics.Routes) == 0
	})
}

// TestTwoThousandClientsOfAnotherProcess: sockets, and nothing shared with the
// broker. The other process is this test's program.
func TestTwoThousandClientsOfAnotherProcess(t *testing.T) {
	b := testkit.Start(t)
	p := testkit.LaunchEnv(t, []string{swarmAddr + "=" + b.Addr(testkit.TCP)}, os.Args[0])
	p.Await("subscribed")
	if got := b.Metrics().Level(metrics.Clients); got != swarmSize {
		t.Errorf("%d clients", got)
	}
	c := b.Dial(t)
	c.Connect(testkit.Hello("caller"))
	c.Publish("swarm", "go", 0, 0)
	p.Await("done")
	if code := p.Wait(); code != 0 {
		t.Errorf("the clients ended with %d", code)
	}
	testkit.Eventually(t, "everybody is gone", func() bool { return b.Metrics().Level(metrics.Clients) == 1 })
	if n := b.Ended("normal"); n != swarmSize {
		t.Errorf("%d connections ended in order: %v", n, b.Metrics().Closes())
	}
}
