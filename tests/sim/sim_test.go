package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/link"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

var (
	oneSeed = flag.Uint64("seed", 0, "play this seed only")
	seeds   = flag.Int("seeds", 8, "how many seeds to play")
	first   = flag.Uint64("first", 1, "the first of them")
	print   = flag.Bool("journal", false, "keep the journal also when all is well")
)

func TestClusterKeepsItsPromisesWhateverHappens(t *testing.T) {
	if link.Seeded {
		t.Skip("this program has a mistake on purpose: see the other test")
	}
	if *oneSeed != 0 {
		simulate(t, *oneSeed, t.Errorf)
		return
	}
	for i := range uint64(*seeds) {
		seed := *first + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, t.Errorf)
		})
	}
}

// simulate plays a seed; fail is called, by one goroutine at a time, for each
// invariant that does not hold.
func simulate(t *testing.T, seed uint64, fail func(string, ...any)) {
	homes := t.TempDir()
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, 3+int(seed%3), homes)
		defer w.end()
		(&play{world: w, quit: make(chan struct{}), sent: map[string]*message{}}).run()
	})
	for _, f := range w.log.failures {
		fail("%s", f)
	}
	if len(w.log.failures) == 0 && !*print {
		return
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("emqttd-sim-%d.log", seed))
	if err := os.WriteFile(file, []byte(w.log.String()+"\n"), 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("what happened is in %s; to play it again:\n\tgo test ./tests/sim -run Promises -seed=%d", file, seed)
}

func (p *play) run() {
	for _, at := range p.places {
		at.start()
	}
	p.expectViews()
	over := make(chan struct{})
	for i := range 2 * len(p.places) {
		s := &subscriber{play: p, id: fmt.Sprintf("s%d", i+1), home: p.places[i%len(p.places)]}
		p.subscribers = append(p.subscribers, s)
		p.actors.Go(func() { s.run(over) })
	}
	var publishers sync.WaitGroup
	for _, at := range p.places {
		for n := range 2 {
			publishers.Go(func() { p.publish(at, n+1) })
		}
	}
	var roamers []*roamer
	for i := range 3 {
		r := &roamer{play: p, id: fmt.Sprintf("r%d", i+1)}
		roamers = append(roamers, r)
		publishers.Go(r.run)
	}
	time.Sleep(2 * time.Second)
	p.disturb(disturbance)
	close(p.quit)
	publishers.Wait()
	p.checks.Wait()
	p.expectViews()
	p.probe(roamers)
	for _, r := range roamers {
		r.leave()
	}
	close(over)
	p.actors.Wait()
}

// disturbance is how long a world is disturbed: long enough for nodes to be lost and
// found several times.
const disturbance = 40 * time.Second

// expectViews waits until every node sees every other, which must not take long when
// nothing is in the way.
func (p *play) expectViews() {
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		bad := ""
		for _, at := range p.places {
			if n := ups(at.now().Net().View()); n != len(p.places) {
				bad = fmt.Sprintf("%s sees %d of %d nodes", at.name, n, len(p.places))
			}
		}
		if bad == "" {
			return
		}
		if time.Now().After(end) {
			p.fail("all is healed, but %s", bad)
			return
		}
	}
}

func ups(v *cluster.View) (n int) {
	for _, m := range v.Members {
		if m.State == cluster.Up {
			n++
		}
	}
	return n
}

// probe sends a message from every node to every subscriber: all routes are right.
func (p *play) probe(roamers []*roamer) {
	var all []*message
	for _, r := range roamers {
		all = append(all, r.expectOne()...)
	}
	for _, at := range p.places {
		l, err := dial(at.now(), &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "probe-" + at.name}, nil)
		if err != nil {
			p.fail("no client can connect to %s: %v", at.name, err)
			continue
		}
		for _, s := range p.subscribers {
			m := p.send("probe-"+at.name+"-"+s.id, protocol.AtLeastOnce, s, at.now())
			all = append(all, m)
			if err := l.publish(s.topic(), m.payload, protocol.AtLeastOnce); err != nil {
				p.fail("%s does not take messages: %v", at.name, err)
			}
		}
		l.leave()
	}
	time.Sleep(5 * time.Second)
	for _, m := range all {
		if p.arrivals(m) != 1 {
			p.fail("all is healed, but %q arrived %d times", m.payload, p.arrivals(m))
		}
	}
}

// TestMain lets the heap grow: there is much garbage of nodes that are gone.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
