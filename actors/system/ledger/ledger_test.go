package ledger

import (
	"fmt"
	"sync"
	"testing"
)

func TestTheBookBalancesWhateverTheOrderOfTheEntries(t *testing.T) {
	var l Ledger
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				l.Accept(uint32(i), 5)
				for _, s := range States() {
					l.End(s, 1)
				}
				l.EndAtOnce(Rejected, 1)
				l.Forward(1)
				l.AcceptAny(1)
			}
		})
	}
	wg.Wait()
	s := l.Sheet()
	if s.Accepted != 8*1000*8 || s.Pending != 8000 || s.Ended[Forwarded] != 16000 || s.Ended[Delivered] != 8000 {
		t.Errorf("%+v", s)
	}
	if n := s.Unaccounted(); n != 0 {
		t.Errorf("%d unaccounted", n)
	}
}

func TestWhatIsLostOrDoubledShows(t *testing.T) {
	var l Ledger
	l.Accept(0, 10)
	l.Correct(-3) // three have vanished from a queue
	if s := l.Sheet(); s.Unaccounted() != 3 {
		t.Errorf("%d unaccounted, want 3", s.Unaccounted())
	}
	l.Correct(4)
	if s := l.Sheet(); s.Unaccounted() != -1 {
		t.Errorf("%d unaccounted, want -1", s.Unaccounted())
	}
}

func TestAReasonHasOneState(t *testing.T) {
	for reason, want := range map[string]State{
		"expired": Expired, "acl_denied": Rejected, ClientRefused: Rejected, "queue_full": Dropped, "no_subscriber": Dropped,
	} {
		if got := StateOf(reason); got != want {
			t.Errorf("%s ends as %s, want %s", reason, got, want)
		}
	}
}

func TestTheLastDropsAreRememberedInTheirOrder(t *testing.T) {
	var r Recent
	for i := range 250 {
		r.Note(Drop{At: int64(i) * 10, Reason: "queue_full", ClientID: fmt.Sprint(i / 2)})
	}
	list := r.List()
	if len(list) != RecentDrops || list[0].ClientID != "25" || list[99].ClientID != "124" {
		t.Fatalf("%d drops, first of %s, last of %s", len(list), list[0].ClientID, list[len(list)-1].ClientID)
	}
	if list[99].Count != 2 || list[99].At != 2490 {
		t.Errorf("two of a kind are %+v", list[99])
	}
}

func TestAFloodOfDropsIsNotFollowed(t *testing.T) {
	var r Recent
	for i := range 10000 {
		r.Note(Drop{At: 1, ClientID: fmt.Sprint(i)})
	}
	if r.next != perSlot || r.Wants(1) || !r.Wants(1<<slotBits) {
		t.Errorf("%d of 10000 drops were noted", r.next)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var l Ledger
	var r Recent
	r.Note(Drop{Topic: "t"})
	n := testing.AllocsPerRun(100, func() {
		l.Accept(1, 2)
		l.End(Delivered, 2)
		r.Note(Drop{Topic: "t"})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
