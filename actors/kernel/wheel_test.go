package kernel

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTheWheelFiresEverythingInItsTurn compares the wheel with a plain list.
func TestTheWheelFiresEverythingInItsTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel[int]
		pending := map[int]int64{}
		now := int64(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") {
				tick := now + rapid.Int64Range(-3, 3*wheelSlots).Draw(t, "in")
				w.add(i, tick)
				pending[i] = max(tick, now+1)
				continue
			}
			now += rapid.Int64Range(0, 2*wheelSlots).Draw(t, "advance")
			var got, want []int
			w.advance(now, func(v int) { got = append(got, v) })
			for v, tick := range pending {
				if tick <= now {
					want = append(want, v)
					delete(pending, v)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("at %d: fired %v, want %v", now, got, want)
			}
			next, ok := w.next()
			if ok != (len(pending) > 0) {
				t.Fatalf("next says %v with %d pending", ok, len(pending))
			}
			for _, tick := range pending {
				if next > tick || next <= now {
					t.Fatalf("next is %d, but %d is due and it is %d", next, tick, now)
				}
			}
		}
	})
}

func TestTheWheelFiresTickByTick(t *testing.T) {
	var w wheel[int]
	for _, tick := range []int{5, 3, 4, 3} {
		w.add(tick, int64(tick))
	}
	var got []int
	w.advance(4, func(v int) { got = append(got, v) })
	if !slices.Equal(got, []int{3, 3, 4}) {
		t.Errorf("fired %v", got)
	}
}

func TestTheWheelDoesNotAllocateInSteadyState(t *testing.T) {
	var w wheel[int]
	tick := int64(0)
	round := func() {
		for range wheelSlots {
			tick++
			for i := range 10 {
				w.add(i, tick+60)
			}
			w.advance(tick, func(int) {})
		}
	}
	round()
	round()
	if n := testing.AllocsPerRun(3, round); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func TestABurstInOneSlotIsGivenBack(t *testing.T) {
	var w wheel[int]
	for i := range 4 * keptEntries {
		w.add(i, 7)
	}
	w.advance(7, func(int) {})
	if got := cap(w.slots[7]); got != 0 {
		t.Errorf("the empty slot keeps %d entries", got)
	}
}
