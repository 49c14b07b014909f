package consul

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/tests/backends/servers"
)

// crashed leaves in Consul what a node leaves that was killed.
func crashed(t *testing.T, o Options) {
	t.Helper()
	c, err := newClient(&o)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.keep(t.Context(), todo{}, Health{}); r.err != nil {
		t.Fatal(r.err)
	}
}

// again is a new start of a node under its name.
func again(o Options, address string) Options {
	o.Self.Incarnation++
	o.Self.Address = address
	return o
}

func TestTheNameOfALiveNodeIsRefused(t *testing.T) {
	s := servers.Consul(t)
	o := options(s.Addr)
	o.Self.Address = listen(t)
	start(t, o)
	_, err := try(t, again(o, "127.0.0.1:2"))
	var taken *Taken
	if !errors.As(err, &taken) || !taken.Sure || taken.Address != o.Self.Address {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "node.name "+o.Self.Name+" is taken by the node at "+o.Self.Address) {
		t.Errorf("the error is %q", err)
	}
	e := entry(t, s, &o, registered)
	if got := e.Service.Meta["dist"]; got != o.Self.Address {
		t.Errorf("the refused node has taken the registration: %s", got)
	}
}

func TestACrashedNodeIsBackAtOnceWhereItWas(t *testing.T) {
	o := options(servers.Consul(t).Addr)
	o.TTL = patience * 10 // nobody can wait for the check to fail
	o.Self.Address = listen(t)
	crashed(t, o)
	start(t, again(o, o.Self.Address))
}

func TestACrashedNodeIsBackAtOnceOnAnotherHost(t *testing.T) {
	o := options(servers.Consul(t).Addr)
	o.TTL = patience * 10
	crashed(t, o) // nobody listens there
	start(t, again(o, "127.0.0.1:2"))
}

func TestAHostThatDoesNotAnswerKeepsItsNameUntilItsSessionEnds(t *testing.T) {
	s := servers.Consul(t)
	o := options(s.Addr)
	crashed(t, o)
	back := again(o, "127.0.0.1:2")
	c, err := newClient(&back)
	if err != nil {
		t.Fatal(err)
	}
	c.dial = func(context.Context, string) error { return os.ErrDeadlineExceeded } // no packet goes there
	r := c.keep(t.Context(), todo{}, Health{})
	var taken *Taken
	if !errors.As(r.err, &taken) || taken.Sure {
		t.Fatalf("got %v", r.err)
	}
	for end := time.Now().Add(2 * patience); r.err != nil; r = c.keep(t.Context(), r.todo, Health{}) {
		if !errors.As(r.err, &taken) || time.Now().After(end) {
			t.Fatal(r.err)
		}
		wait(t, 200*time.Millisecond)
	}
}

// TestABootWaitsForANodeThatMayBeDead decides without a Consul: the start neither
// fails nor goes on while the name may become free.
func TestABootWaitsForANodeThatMayBeDead(t *testing.T) {
	var ends []error
	a := &agent{started: func(err error) { ends = append(ends, err) }}
	a.keeper = newKeeper(time.Second)
	unsure := &Taken{Name: "a", Address: "b"}
	if a.boot(unsure, unsure); a.started == nil || len(ends) != 0 {
		t.Fatalf("the boot has ended: %v", ends)
	}
	a.keeper.began = a.keeper.began.Add(-time.Hour)
	if a.boot(unsure, unsure); a.started != nil || len(ends) != 1 || ends[0] != error(unsure) {
		t.Errorf("the boot has not failed: %v", ends)
	}
}

func TestANodeWhoseNameWasTakenMeanwhileSaysSoAndDoesNotFight(t *testing.T) {
	s := servers.Consul(t)
	o := options(s.Addr)
	o.Self.Address = listen(t)
	s.Stop(t)
	n := start(t, o) // without Consul nobody can know
	n.await(t, "the alarm", raised(AlarmUnreachable))
	s.Start(t)
	// The node is slower to come back than the other one to begin, or the other one
	// finds the name taken.
	other := again(o, listen(t))
	if _, err := try(t, other); err == nil {
		n.await(t, "the alarm about the name", raised(AlarmNameTaken))
		if got := entry(t, s, &o, registered).Service.Meta["dist"]; got != other.Self.Address {
			t.Errorf("the node that came late has taken the registration: %s", got)
		}
	}
}

func TestOfManyThatWantANameOneGetsIt(t *testing.T) {
	o := options(servers.Consul(t).Addr)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		mine := again(o, listen(t))
		mine.Self.Incarnation += uint64(i)
		c, err := newClient(&mine)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			errs[i] = c.keep(context.Background(), todo{}, Health{}).err
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		var taken *Taken
		switch {
		case err == nil:
			won++
		case !errors.As(err, &taken):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d have the name", won)
	}
}

func TestAnyNameOfAClusterIsOneWordOfAKey(t *testing.T) {
	for text, want := range map[string]string{"emqcl": "emqcl", "a b/c": "a_20b_2fc", "a_20b": "a_5f20b", "ä": "_c3_a4"} {
		if got := word(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
