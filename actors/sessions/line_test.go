package sessions

import (
	"errors"
	"testing"
	"testing/synctest"
)

// pages is an outbox that keeps what it is sent.
type pages struct{ text string }

func (p *pages) Send(b []byte) int { p.text += string(b); return p.Room() }
func (p *pages) Room() int         { return 1 << 20 }

func neverFails(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the line failed: %v", err) }
}

func TestALineKeepsItsOrder(t *testing.T) {
	var out pages
	l := NewLine(&out, neverFails(t), nil)
	l.Send([]byte("a"))
	b := l.Hold([]byte("b"), 2, nil)
	l.Send([]byte("c"))
	d := l.Hold([]byte("d"), 1, func() { out.text += "!" })
	l.Send([]byte("e"))
	for _, step := range []struct {
		settle func(error)
		want   string
	}{{d, "a"}, {b, "a"}, {b, "abcd!e"}} {
		step.settle(nil)
		if out.text != step.want {
			t.Fatalf("%q has gone, want %q", out.text, step.want)
		}
	}
	if l.Send([]byte("f")); out.text != "abcd!ef" {
		t.Errorf("%q has gone", out.text)
	}
}

func TestAFailedLineLetsNothingGoAndSaysSoOnce(t *testing.T) {
	var out pages
	var failures []error
	l := NewLine(&out, func(err error) { failures = append(failures, err) }, nil)
	a, b := l.Hold([]byte("a"), 1, nil), l.Hold([]byte("b"), 1, nil)
	broken := errors.New("disk")
	b(broken)
	a(nil)
	b(broken)
	l.Send([]byte("c"))
	if out.text != "" || len(failures) != 1 || !errors.Is(failures[0], broken) {
		t.Errorf("%q has gone, failures %v", out.text, failures)
	}
}

func TestAClosedLineDropsWhatItHeld(t *testing.T) {
	var out pages
	l := NewLine(&out, neverFails(t), nil)
	a := l.Hold([]byte("a"), 1, nil)
	l.Close()
	a(nil)
	if out.text != "" {
		t.Errorf("%q has gone", out.text)
	}
}

func TestWhoIsFarAheadOfTheDiskWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out pages
		l := NewLine(&out, neverFails(t), nil)
		var holds []func(error)
		for range linePledges {
			holds = append(holds, l.Hold([]byte("x"), 1, nil))
		}
		through := false
		go func() {
			l.Wait()
			through = true
		}()
		synctest.Wait()
		if through {
			t.Fatal("it does not wait")
		}
		holds[0](nil)
		synctest.Wait()
		if !through {
			t.Error("it waits on although there is room")
		}
	})
}

func TestASenderThatWasToldToWaitHearsWhenThereIsRoom(t *testing.T) {
	var out pages
	told := 0
	l := NewLine(&out, neverFails(t), func() { told++ })
	a := l.Hold(make([]byte, lineBytes), 1, nil)
	if n := l.Room(); n > 0 {
		t.Fatalf("there is room for %d bytes", n)
	}
	if a(nil); told != 1 || l.Room() <= 0 {
		t.Errorf("told %d times, room for %d", told, l.Room())
	}
}
