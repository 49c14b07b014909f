package wire

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
)

const (
	testCookie = "emqsecretcookie"
	kindNote   = 0xf001
)

// note is the message of these tests.
type note struct{ Text string }

func (n *note) Serialize() (Serialized, error) { return Encode(kindNote, n) }

// childAddress tells the test binary to be the other node: it asks the echo actor at that address and prints the answer.
// A second process, because a second remote would race on the process-wide gRPC logger.
const childAddress = "WIRE_TEST_ASK"

func TestMain(m *testing.M) {
	Register(kindNote, func() any { return new(note) })
	if address := os.Getenv(childAddress); address != "" {
		os.Exit(askAsChild(address))
	}
	goleak.VerifyTestMain(m)
}

func askAsChild(address string) int {
	system := actor.NewActorSystemWithConfig(actor.Configure(QuietFramework(nil)))
	r, err := Start(system, Options{Listen: "127.0.0.1:0", Cookie: testCookie})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer r.Stop()
	for _, id := range []string{"node/echo", "node/nobody", "node/secret"} {
		f := system.Root.RequestFuture(PID(address, id), &note{Text: "hello"}, 2*time.Second)
		switch answer, err := f.Result(); {
		case err != nil:
			fmt.Printf("%s: %v\n", id, err)
		default:
			fmt.Printf("%s: %v\n", id, answer.(*note).Text)
		}
	}
	return 0
}

// door is a node with an echo actor that reports what reaches it, and a secret one that nobody may reach.
type door struct {
	*Remote
	heard chan any
	echo  *actor.PID
}

func openDoor(t *testing.T, edit func(*Options)) *door {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Cookie: testCookie, Targets: []string{"node/echo", "node/nobody"}}
	if edit != nil {
		edit(&o)
	}
	system := actor.NewActorSystemWithConfig(actor.Configure(QuietFramework(nil)))
	r, err := Start(system, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	d := &door{Remote: r, heard: make(chan any, 16)}
	props := actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *note:
			d.heard <- m
			if c.Sender() != nil {
				c.Respond(&note{Text: m.Text + " back"})
			}
		case *actor.Started:
		default:
			d.heard <- m
		}
	})
	for _, id := range []string{"node/echo", "node/secret"} {
		pid, err := system.Root.SpawnNamed(props, id)
		if err != nil {
			t.Fatal(err)
		}
		if id == "node/echo" {
			d.echo = pid
		}
	}
	return d
}

// expect waits for the next message that an actor of ours got.
func (d *door) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-d.heard:
		if n, ok := got.(*note); !ok || n.Text != want {
			t.Fatalf("the actor got %T %v, want the note %q", got, got, want)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("the actor did not get %q; refused so far: %v", want, d.Refused())
	}
}
