package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLaneDeliversEachMessageOnceInOrder plays a lane against a receiver that takes
// some of what was written, acknowledges some of that, and loses the stream now and
// then.
func TestLaneDeliversEachMessageOnceInOrder(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := newLane()
		var flying []uint64 // numbers on the wire
		var got []string
		received, handled, called := uint64(0), uint64(0), 0
		pushed := 0
		for range 2000 {
			switch rng.IntN(5) {
			case 0, 1:
				l.push(item{body: fmt.Append(nil, pushed), done: func(error) { called++ }})
				pushed++
			case 2:
				for range rng.IntN(4) {
					if l.unwritten() {
						i, seq := l.take()
						flying = append(flying, seq)
						if seq == received+uint64(len(flying)) {
							got = append(got, string(i.body))
						}
					}
				}
			case 3:
				if n := rng.IntN(len(flying) + 1); n > 0 {
					received, flying = flying[n-1], flying[n:]
				}
				handled += uint64(rng.IntN(int(received-handled) + 1))
				done, ok := l.acknowledge(handled, nil)
				if !ok {
					t.Fatalf("seed %d: it does not know of %d", seed, handled)
				}
				for _, f := range done {
					f(nil)
				}
			case 4:
				if rng.IntN(4) > 0 {
					continue
				}
				got, flying = got[:received], nil
				if _, ok := l.resume(received); !ok {
					t.Fatalf("seed %d: it cannot resume after %d", seed, received)
				}
			}
			if uint64(called) != handled || l.len() != pushed-int(handled) {
				t.Fatalf("seed %d: %d callbacks for %d, %d of %d kept", seed, called, handled, l.len(), pushed)
			}
		}
		for i, s := range got {
			if s != fmt.Sprint(i) {
				t.Fatalf("seed %d: %s arrived in place of %d", seed, s, i)
			}
		}
		bytes, flew := 0, 0
		for i, it := range l.items[l.head:] {
			bytes += len(it.body)
			if i < l.written() {
				flew += len(it.body)
			}
		}
		if l.bytes != bytes || l.flying != flew {
			t.Fatalf("seed %d: it counts %d and %d bytes, there are %d and %d", seed, l.bytes, l.flying, bytes, flew)
		}
		if n := len(l.abandon()); n != pushed-int(handled) {
			t.Fatalf("seed %d: %d callbacks are left, want %d", seed, n, pushed-int(handled))
		}
	}
}

func TestLaneRefusesWhatNeverWas(t *testing.T) {
	l := newLane()
	l.push(item{})
	if _, ok := l.acknowledge(1, nil); ok {
		t.Error("it takes an acknowledgement of what was not written")
	}
	l.take()
	if _, ok := l.resume(2); ok {
		t.Error("it resumes after what was not written")
	}
	if _, ok := l.acknowledge(1, nil); !ok {
		t.Error("it refuses what was written")
	}
	if _, ok := l.resume(0); ok {
		t.Error("it resumes before what was acknowledged, which it does not have any more")
	}
}

// attempts plays contacts against an address that never answers.
func attempts(c *contacts, now *time.Time, n int) (pauses []time.Duration) {
	for range n {
		due, next := c.due(*now)
		if len(due) == 0 {
			pauses = append(pauses, next.Sub(*now))
			*now = next
			due, _ = c.due(*now)
		}
		for _, a := range due {
			c.dialled(a, "", false, *now)
		}
	}
	return pauses
}

func TestLostNodeIsDialledForEverAndNeverInAHurry(t *testing.T) {
	now := time.Now()
	c := newContacts()
	c.add("x:1", "x", now).joined = true
	pauses := attempts(&c, &now, 50)
	if len(pauses) != 49 || pauses[0] > firstPause*2 || slices.Max(pauses) > longPause*3/2 || pauses[48] < longPause/2 {
		t.Errorf("pauses: %v", pauses)
	}
	c.alive["x"] = true
	now = now.Add(time.Hour)
	if urgent := attempts(&c, &now, 50); slices.Max(urgent) > urgentPause*3/2 {
		t.Errorf("while there is a conversation to be saved: %v", urgent)
	}
}

func TestNodeThatOnlyOthersHaveNamedIsForgottenAfterADay(t *testing.T) {
	now := time.Now()
	c := newContacts()
	c.add("learnt:1", "l", now)
	c.discovered(map[string]string{"found:1": "f"}, now)
	end := now.Add(forgotten + time.Hour)
	for now.Before(end) {
		attempts(&c, &now, 2)
	}
	if c.targets["learnt:1"] != nil || c.targets["found:1"] == nil {
		t.Errorf("known: %v", c.list())
	}
}

func TestLinkedNodeAndOneselfAreNotDialled(t *testing.T) {
	now := time.Now()
	c := newContacts()
	c.add("a:1", "a", now)
	c.add("alias-of-a:1", "a", now).joined = true
	c.add("me:1", "", now).self = true
	c.linked["a"] = true
	if due, next := c.due(now); len(due) != 0 || !next.IsZero() {
		t.Errorf("due: %v, next at %v", due, next)
	}
	delete(c.linked, "a")
	if due, _ := c.due(now); len(due) != 2 {
		t.Errorf("due: %v", due)
	}
}

func TestRefusalThatOnlyNewerVersionsKnowIsTriedAgain(t *testing.T) {
	for r := range reasons {
		if reasonOf(r.String()) != r {
			t.Errorf("%v is read as %v", r, reasonOf(r.String()))
		}
	}
	if reasonOf("phase of the moon") != Busy || reasonFor(errors.New("x")) != Unreachable {
		t.Error("what is not known is a fault")
	}
}
