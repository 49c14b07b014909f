package replicas_test

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/replicas"
	"emqttd/cluster/wire"
)

// disk is a replicas.Disk in memory.
type disk struct {
	mu      sync.Mutex
	all     map[string][]byte
	refuses error
}

func (d *disk) change(f func(), done func(error)) {
	d.mu.Lock()
	err := d.refuses
	if err == nil {
		f()
	}
	d.mu.Unlock()
	if done != nil {
		done(err)
	}
}

func (d *disk) Put(key, value []byte, done func(error)) {
	d.change(func() { d.all[string(key)] = value }, done)
}

func (d *disk) Delete(key []byte, done func(error)) {
	d.change(func() { delete(d.all, string(key)) }, done)
}

func (d *disk) Each(f func(key, value []byte)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, v := range d.all {
		f([]byte(k), v)
	}
	return nil
}

func newDisk() *disk { return &disk{all: map[string][]byte{}} }

func openMap(t failer, n *clustertest.Net, d *disk) *replicas.Map {
	t.Helper()
	m, err := replicas.OpenMap(replicas.MapOptions{Node: n.Self().Name, Clock: n.Clock(), Disk: d})
	if err != nil {
		t.Fatal(err)
	}
	m.Replicate(replicas.New(n, m, replicas.Options{Kind: wire.KindAccess}))
	return m
}

// mapOn is a Map on a node of its own.
func mapOn(t failer, w *clustertest.World, name string, d *disk) (*clustertest.Net, *replicas.Map) {
	n := w.Node(name)
	m := openMap(t, n, d)
	m.Live()
	return n, m
}

func contents(m *replicas.Map) map[string]string {
	all := map[string]string{}
	_ = m.Each(func(key, value []byte) error { // it returns what this function does
		all[string(key)] = string(value)
		return nil
	})
	return all
}

func TestATableIsTheSameOnAllNodesAndAfterARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w clustertest.World
		defer w.Close()
		disks := []*disk{newDisk(), newDisk()}
		na, a := mapOn(t, &w, "a", disks[0])
		nb, b := mapOn(t, &w, "b", disks[1])
		nets, tables := []*clustertest.Net{na, nb}, []*replicas.Map{a, b}
		together, last := false, map[string]string{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "node")
				key, value := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key"), rapid.String().Draw(t, "value")
				nets[i].Clock().Seen(nets[1-i].Clock().Now())
				last[key] = value
				if err := tables[i].Put([]byte(key), []byte(value)); err != nil {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "node")
				key := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key")
				nets[i].Clock().Seen(nets[1-i].Clock().Now())
				delete(last, key)
				if err := tables[i].Delete([]byte(key)); err != nil {
					t.Fatal(err)
				}
			},
			"meet or part": func(*rapid.T) {
				if together {
					w.Cut(na, nb)
				} else {
					w.Connect(na, nb)
				}
				together = !together
			},
		})
		if !together {
			w.Connect(na, nb)
		}
		for i, m := range tables {
			until(t, "the table is as it was written last", func() bool { return maps.Equal(contents(m), last) })
			if again := openMap(t, w.Node(fmt.Sprint("again", i)), disks[i]); !maps.Equal(contents(again), last) {
				t.Fatalf("on the disk of %d: %v, want %v", i, contents(again), last)
			}
		}
	})
}

func TestWhatTheConfigurationBringsGivesWayToWhatWasChanged(t *testing.T) {
	var w clustertest.World
	defer w.Close()
	na, a := mapOn(t, &w, "a", newDisk())
	nb := w.Node("b")
	b := openMap(t, nb, newDisk())
	if err := errors.Join(a.Put([]byte("u"), []byte("changed")), b.Put([]byte("u"), []byte("configured")), b.Put([]byte("v"), []byte("configured"))); err != nil {
		t.Fatal(err)
	}
	b.Live()
	w.Connect(na, nb)
	want := map[string]string{"u": "changed", "v": "configured"}
	if x, y := contents(a), contents(b); !maps.Equal(x, want) || !maps.Equal(y, want) {
		t.Errorf("a has %v, b has %v", x, y)
	}
}

func TestATableOfAnOlderBrokerIsReadAndGivesWay(t *testing.T) {
	var w clustertest.World
	defer w.Close()
	old := newDisk()
	old.all["u"], old.all["ban"] = []byte("argon2id\x00salt"), []byte(`{"Kind":"clientid"}`)
	na, a := mapOn(t, &w, "a", old)
	nb, b := mapOn(t, &w, "b", newDisk())
	if err := b.Put([]byte("u"), []byte("newer")); err != nil {
		t.Fatal(err)
	}
	w.Connect(na, nb)
	want := map[string]string{"u": "newer", "ban": `{"Kind":"clientid"}`}
	if x, y := contents(a), contents(b); !maps.Equal(x, want) || !maps.Equal(y, want) {
		t.Errorf("a has %v, b has %v", x, y)
	}
}

func TestAChangeThatTheDiskRefusesIsNone(t *testing.T) {
	var w clustertest.World
	defer w.Close()
	d := newDisk()
	na, a := mapOn(t, &w, "a", d)
	nb, b := mapOn(t, &w, "b", newDisk())
	w.Connect(na, nb)
	if err := a.Put([]byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.refuses = errors.New("full")
	d.mu.Unlock()
	if a.Put([]byte("k"), []byte("w")) == nil || a.Delete([]byte("k")) == nil || a.Put([]byte("l"), nil) == nil {
		t.Error("no error")
	}
	until(t, "b has the change", func() bool { return len(contents(b)) == 1 })
	want := map[string]string{"k": "v"}
	if x, y := contents(a), contents(b); !maps.Equal(x, want) || !maps.Equal(y, want) {
		t.Errorf("a has %v, b has %v", x, y)
	}
}

func TestARemovalIsRememberedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock cluster.Clock
		d := newDisk()
		open := func() *replicas.Map {
			m, err := replicas.OpenMap(replicas.MapOptions{Node: "a", Clock: &clock, Disk: d, MaxTombstones: 3})
			if err != nil {
				t.Fatal(err)
			}
			m.Live()
			return m
		}
		m := open()
		for i := range 5 {
			if err := m.Delete(fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		open()
		if _, ok := d.all["1"]; len(d.all) != 3 || ok {
			t.Errorf("%d are remembered, the oldest among them: %v", len(d.all), ok)
		}
		time.Sleep(25 * time.Hour) // of the bubble's clock
		open()
		if len(d.all) != 0 {
			t.Errorf("%d are remembered after a day", len(d.all))
		}
	})
}

// guarded is a node's chain over replicated tables.
type guarded struct {
	net   *clustertest.Net
	chain *access.Chain
	users *access.Accounts
	bans  *access.Bans

	mu   sync.Mutex
	told []access.Selector
}

func newGuarded(t *testing.T, w *clustertest.World, name string) *guarded {
	t.Helper()
	g := &guarded{net: w.Node(name)}
	table := func(kind uint32) *replicas.Map {
		m, err := replicas.OpenMap(replicas.MapOptions{Node: name, Clock: g.net.Clock(), Disk: newDisk()})
		if err != nil {
			t.Fatal(err)
		}
		m.Replicate(replicas.New(g.net, m, replicas.Options{Kind: kind}))
		m.Live()
		return m
	}
	scheme, err := hash.Parse("sha256")
	if err != nil {
		t.Fatal(err)
	}
	pool := hash.NewPool(1, 10)
	if g.users, err = access.OpenAccounts(access.UserNames, table(wire.KindAccess), pool, scheme); err != nil {
		t.Fatal(err)
	}
	if g.bans, err = access.OpenBans(table(wire.KindAccess + 1)); err != nil {
		t.Fatal(err)
	}
	g.chain = access.NewChain(access.Options{Modules: []access.Module{g.users}, Users: g.users, Bans: g.bans})
	g.chain.OnChange(func(s access.Selector) {
		g.mu.Lock()
		g.told = append(g.told, s)
		g.mu.Unlock()
	})
	return g
}

func (g *guarded) heard(s access.Selector) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range g.told {
		if x == s {
			return true
		}
	}
	return false
}

func TestUsersAndBansHoldOnAllNodesAndAreAnnouncedThere(t *testing.T) {
	var w clustertest.World
	defer w.Close()
	a, b := newGuarded(t, &w, "a"), newGuarded(t, &w, "b")
	if err := a.users.Add(t.Context(), "old", []byte("pw"), true); err != nil {
		t.Fatal(err)
	}
	w.Connect(a.net, b.net)
	old, ann := &access.Credentials{Username: "old", Password: []byte("pw")}, &access.Credentials{Username: "ann", Password: []byte("pw")}
	if d := b.chain.Authenticate(old); d != access.Accept {
		t.Errorf("a user of before: %v", d)
	}
	if err := b.users.Add(t.Context(), "ann", []byte("pw"), false); err != nil {
		t.Fatal(err)
	}
	until(t, "ann is announced at a", func() bool { return a.heard(access.Selector{Username: "ann"}) })
	if d := a.chain.Authenticate(ann); d != access.Accept {
		t.Errorf("ann at a: %v", d)
	}
	if found, err := a.users.Delete("ann"); !found || err != nil {
		t.Fatal(found, err)
	}
	until(t, "ann is deleted at b", func() bool { return len(b.users.List()) == 1 && b.heard(access.Selector{Username: "ann"}) })
	if d := b.chain.Authenticate(ann); d == access.Accept {
		t.Error("ann is let in after she was deleted")
	}
	if err := a.bans.Add(access.Ban{Kind: access.BanAddress, Who: "10.0.0.0/8"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the ban is announced at b", func() bool { return b.heard(access.Selector{}) })
	old.Peer = "10.1.2.3"
	if d := b.chain.Authenticate(old); d != access.Banned {
		t.Errorf("who is banned: %v", d)
	}
	if found, err := b.bans.Remove(access.BanAddress, "10.0.0.0/8"); !found || err != nil {
		t.Fatal(found, err)
	}
	until(t, "the ban is lifted at a", func() bool { return len(a.bans.List()) == 0 })
	if d := a.chain.Authenticate(old); d != access.Accept {
		t.Errorf("who is banned no more: %v", d)
	}
}
