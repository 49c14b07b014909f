package connections

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTransport takes what it is allowed to take. Its Write waits on turns.
type fakeTransport struct {
	Transport
	mu        sync.Mutex
	taken     []byte
	budget    int // of TryWrite; negative is any amount
	tryErr    error
	onTry     func() // before TryWrite, without the lock
	turns     chan error
	deadlines []time.Time
	closed    int
}

func (f *fakeTransport) TryWrite(p []byte) (int, error) {
	if f.onTry != nil {
		f.onTry()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(p)
	if f.budget >= 0 {
		n = min(n, f.budget)
		f.budget -= n
	}
	f.taken = append(f.taken, p[:n]...)
	return n, f.tryErr
}

func (f *fakeTransport) Write(p []byte) (int, error) {
	if err := <-f.turns; err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, p...)
	return len(p), nil
}

func (f *fakeTransport) SetWriteDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadlines = append(f.deadlines, t)
	return nil
}

func (f *fakeTransport) SetReadDeadline(time.Time) error { return nil }

func (f *fakeTransport) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

func (f *fakeTransport) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.taken)
}

// fakeOwner counts what it is told.
type fakeOwner struct {
	mu     sync.Mutex
	drains int
	errs   []error
	total  uint64
}

func (o *fakeOwner) drained()         { o.mu.Lock(); o.drains++; o.mu.Unlock() }
func (o *fakeOwner) failed(err error) { o.mu.Lock(); o.errs = append(o.errs, err); o.mu.Unlock() }
func (o *fakeOwner) sending([]byte)   {}
func (o *fakeOwner) written(n uint64) { o.mu.Lock(); o.total += n; o.mu.Unlock() }

func (o *fakeOwner) seen() (drains int, errs []error, written uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drains, o.errs, o.total
}

func newOutbox(budget int, timeout time.Duration) (*outbox, *fakeTransport, *fakeOwner) {
	t, o := &fakeTransport{budget: budget, turns: make(chan error)}, &fakeOwner{}
	return &outbox{t: t, owner: o, timeout: timeout}, t, o
}

func TestOutboxWritesAtOnceWhileTheSocketTakesIt(t *testing.T) {
	box, tr, owner := newOutbox(-1, 0)
	if room := box.Send([]byte("one")); room != outboxLimit {
		t.Errorf("room is %d", room)
	}
	box.Send([]byte("two"))
	if got := string(tr.bytes()); got != "onetwo" {
		t.Errorf("the socket got %q", got)
	}
	if drains, errs, n := owner.seen(); drains != 0 || errs != nil || n != 6 {
		t.Errorf("drained %d, failed %v, written %d", drains, errs, n)
	}
}

func TestOutboxKeepsTheOrderAcrossPartialWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, _ := newOutbox(5, 0)
		var want []byte
		for i := range 100 {
			p := binary.BigEndian.AppendUint32(nil, uint32(i))
			want = append(want, p...)
			box.Send(p)
		}
		for range 2 { // the rest of the first and all that piled up behind it
			select {
			case tr.turns <- nil:
			case <-time.After(time.Second):
			}
			synctest.Wait()
		}
		if !bytes.Equal(tr.bytes(), want) {
			t.Errorf("the socket got %x", tr.bytes())
		}
		if box.busy {
			t.Error("nobody writes, but it is busy")
		}
	})
}

func TestOutboxTellsOnceThatThereIsRoomAgainAfterItHadNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, owner := newOutbox(0, 0)
		if room := box.Send(make([]byte, outboxLimit/2)); room <= 0 {
			t.Errorf("room is %d with half of it used", room)
		}
		synctest.Wait() // drain has taken the first half
		if room := box.Send(make([]byte, outboxLimit+1)); room > 0 {
			t.Errorf("room is %d above the limit", room)
		}
		tr.turns <- nil
		synctest.Wait()
		if drains, _, _ := owner.seen(); drains != 0 {
			t.Error("told of room before there was any")
		}
		tr.turns <- nil
		synctest.Wait()
		if drains, _, _ := owner.seen(); drains != 1 {
			t.Errorf("told %d times", drains)
		}
		if room := box.Room(); room != outboxLimit {
			t.Errorf("room is %d when nothing waits", room)
		}
	})
}

// While one goroutine is in a write that does not wait, others may fill the
// outbox; if that write and the next take everything, nobody drains it.
func TestOutboxTellsOfRoomWhenWritesWithoutWaitingMadeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, owner := newOutbox(-1, 0)
		waiting := make(chan struct{})
		tr.onTry = func() {
			tr.onTry = nil
			if room := box.Send(make([]byte, outboxLimit)); room > 0 {
				t.Errorf("room is %d", room)
			}
			go func() { box.wait(); close(waiting) }()
			synctest.Wait()
		}
		box.Send([]byte("first"))
		synctest.Wait()
		if drains, _, _ := owner.seen(); drains != 1 {
			t.Errorf("a session that was told of no room was told of room %d times", drains)
		}
		select {
		case <-waiting:
		default:
			t.Error("the reader waits for room although nothing is pending")
			box.close()
		}
	})
}

func TestOutboxStopsAReaderUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, _ := newOutbox(0, 0)
		box.wait() // nothing pending: must not block
		box.Send([]byte("x"))
		synctest.Wait()
		box.Send(make([]byte, outboxLimit))
		done := make(chan struct{})
		go func() { box.wait(); close(done) }()
		synctest.Wait()
		tr.turns <- nil
		synctest.Wait()
		select {
		case <-done:
			t.Error("went on while the outbox was full")
		default:
		}
		tr.turns <- nil
		synctest.Wait()
		<-done
	})
}

func TestClosingAnOutboxWakesItsReaderAndDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, owner := newOutbox(0, 0)
		box.Send([]byte("x"))
		synctest.Wait()
		box.Send(make([]byte, outboxLimit))
		done := make(chan struct{})
		go func() { box.wait(); close(done) }()
		synctest.Wait()
		box.close()
		synctest.Wait()
		<-done
		if room := box.Send([]byte("late")); room <= 0 {
			t.Errorf("a closed outbox has room %d: its session would wait for ever", room)
		}
		tr.turns <- net.ErrClosed // the write that was under way
		synctest.Wait()
		if got := tr.bytes(); len(got) != 0 {
			t.Errorf("the socket got %d bytes", len(got))
		}
		if _, errs, _ := owner.seen(); errs != nil {
			t.Errorf("its owner closed it and was told that it failed: %v", errs)
		}
	})
}

// The session may be writing when the connection ends: the DISCONNECT behind it
// must not be lost.
func TestFinishingAnOutboxLetsOutWhatIsPending(t *testing.T) {
	t.Run("nobody writes", func(t *testing.T) {
		box, tr, _ := newOutbox(-1, 0)
		box.Send([]byte("bye"))
		box.finish()
		if tr.closed != 1 {
			t.Errorf("the transport was closed %d times", tr.closed)
		}
	})
	t.Run("without waiting", func(t *testing.T) {
		box, tr, owner := newOutbox(-1, 0)
		tr.onTry = func() {
			tr.onTry = nil
			box.Send([]byte(" bye"))
			box.finish()
			box.Send([]byte(" late"))
			if tr.closed != 0 {
				t.Error("closed while somebody wrote")
			}
		}
		box.Send([]byte("first"))
		if got := string(tr.bytes()); got != "first bye" || tr.closed != 1 {
			t.Errorf("the socket got %q, closed %d times", got, tr.closed)
		}
		if _, errs, _ := owner.seen(); errs != nil {
			t.Errorf("its owner closed it and was told that it failed: %v", errs)
		}
	})
	for name, end := range map[string]error{"to a slow client": nil, "to a client that takes nothing": os.ErrDeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				box, tr, owner := newOutbox(0, 15*time.Second)
				box.Send([]byte("first"))
				synctest.Wait()
				box.Send([]byte(" bye"))
				box.finish()
				if last := tr.deadlines[len(tr.deadlines)-1]; !last.Equal(time.Now().Add(lingerTime)) {
					t.Errorf("the client has until %v", last)
				}
				tr.turns <- end
				want := ""
				if end == nil {
					tr.turns <- nil
					want = "first bye"
				}
				synctest.Wait()
				if got := string(tr.bytes()); got != want || tr.closed != 1 {
					t.Errorf("the socket got %q, closed %d times", got, tr.closed)
				}
				if _, errs, _ := owner.seen(); errs != nil {
					t.Errorf("its owner closed it and was told that it failed: %v", errs)
				}
			})
		})
	}
}

func TestOutboxSetsADeadlineForTheSlowAndTakesItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, tr, _ := newOutbox(0, 15*time.Second)
		box.Send([]byte("x"))
		synctest.Wait()
		tr.turns <- nil
		synctest.Wait()
		want := []time.Time{time.Now().Add(15 * time.Second), {}}
		if len(tr.deadlines) != 2 || !tr.deadlines[0].Equal(want[0]) || !tr.deadlines[1].IsZero() {
			t.Errorf("deadlines are %v, want %v", tr.deadlines, want)
		}
	})
}

func TestOutboxReportsAFailureOnceAndTakesNothingMore(t *testing.T) {
	broken := errors.New("broken")
	t.Run("without waiting", func(t *testing.T) {
		box, tr, owner := newOutbox(-1, 0)
		tr.tryErr = broken
		box.Send([]byte("x"))
		box.Send([]byte("y"))
		if _, errs, _ := owner.seen(); len(errs) != 1 || !errors.Is(errs[0], broken) {
			t.Errorf("failures: %v", errs)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			box, tr, owner := newOutbox(0, 0)
			box.Send([]byte("x"))
			tr.turns <- broken
			synctest.Wait()
			box.Send([]byte("y"))
			if _, errs, _ := owner.seen(); len(errs) != 1 || !errors.Is(errs[0], broken) {
				t.Errorf("failures: %v", errs)
			}
		})
	})
}

func TestManySendersOfOneOutboxKeepTheirOwnOrder(t *testing.T) {
	const senders, each = 8, 500
	box, tr, _ := newOutbox(1000, 0)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case tr.turns <- nil:
			case <-stop:
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				box.wait()
				box.Send(binary.BigEndian.AppendUint32([]byte{byte(s)}, uint32(i)))
			}
		})
	}
	wg.Wait()
	for len(tr.bytes()) < senders*each*5 {
		box.Room()
	}
	close(stop)
	var next [senders]uint32
	for b := tr.bytes(); len(b) > 0; b = b[5:] {
		if got := binary.BigEndian.Uint32(b[1:]); got != next[b[0]] {
			t.Fatalf("sender %d: packet %d comes after %d", b[0], got, next[b[0]])
		}
		next[b[0]]++
	}
}
