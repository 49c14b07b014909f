package link

import (
	"log/slog"
	"testing"
	"time"

	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

const testCookie = "emqsecretcookie"

// openNode is a node behind a real door. There is one for each test: two doors in a
// process would race for gRPC's logger, so that the other node only dials.
func openNode(t *testing.T, name string) *rig {
	t.Helper()
	system := kernel.NewSystem(slog.New(slog.DiscardHandler), kernel.WithConfig(wire.QuietFramework(nil)))
	r := &rig{t: t}
	r.Net = New(system, Options{
		Self: cluster.Member{Name: name}, Cluster: "c", Cookie: testCookie,
		Transport: &wire.Dialer{Cookie: testCookie}, Logger: testLogger().With("at", name),
	})
	r.wireUp()
	door, err := wire.Start(system, wire.Options{Listen: "127.0.0.1:0", Cookie: testCookie, Accept: r.Accept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		door.Stop()
	})
	return r.start()
}

// dialNode is a node without a door.
func dialNode(t *testing.T, name string, edit func(*Options)) *rig {
	t.Helper()
	o := Options{
		Self: cluster.Member{Name: name, Address: "127.0.0.1:1"}, Cluster: "c", Cookie: testCookie,
		Transport: &wire.Dialer{Cookie: testCookie}, Logger: testLogger().With("at", name),
	}
	if edit != nil {
		edit(&o)
	}
	r := &rig{t: t}
	r.Net = New(kernel.NewSystem(slog.New(slog.DiscardHandler), kernel.WithConfig(wire.QuietFramework(nil))), o)
	r.wireUp()
	t.Cleanup(r.stop)
	return r.start()
}

// eventually waits for what another node does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func TestNodesMeetThroughRealDoors(t *testing.T) {
	b := openNode(t, "b")
	a := dialNode(t, "a", nil)
	a.Join(b.Self().Address)
	eventually(t, "the view", func() bool { return show(a.View()) == "a b" && show(b.View()) == "a b" })
	done := make(chan error, 1)
	a.PeerAt(b.Self().Address).Send(&note{7})
	a.PeerAt(b.Self().Address).SendData(kindNote, []byte("data"), func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the note", func() bool { notes, data := b.got(); return len(notes) == 1 && notes[0] == 7 && len(data) == 1 })
}
