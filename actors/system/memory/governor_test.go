package memory

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// governed is a governor that looks at nothing but what the test says.
func governed(told *[]string) *Governor {
	return &Governor{limit: 1000, changed: make(chan struct{}), notify: func(l Level, on bool) {
		*told = append(*told, fmt.Sprint(l, " ", on))
	}}
}

func TestLevelsBeginAndEndAtDifferentUse(t *testing.T) {
	var told []string
	g := governed(&told)
	for _, step := range []struct {
		certain, all uint64
		want         Level
	}{
		{100, 100, Easy},
		{499, 700, Easy},
		{500, 700, Shedding},
		{465, 700, Shedding},
		{459, 700, Easy},
		{700, 800, Refusing},
		{600, 800, Refusing},
		{580, 800, Slowing},
		{550, 800, Slowing},
		{520, 800, Shedding},
		{10, 20, Easy},
		{10, 950, Refusing},
		{10, 800, Easy},
	} {
		g.set(g.judge(g.Level(), step.certain, step.all))
		if g.Level() != step.want {
			t.Errorf("%d of %d: %s, want %s", step.certain, step.all, g.Level(), step.want)
		}
	}
	if want := []string{
		"shedding true", "shedding false", "shedding true", "slowing true", "refusing true", "refusing false", "slowing false", "shedding false",
	}; !slices.Equal(told[:len(want)], want) {
		t.Errorf("told %q", told)
	}
}

func TestPublishersWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := governed(nil)
		g.notify = func(Level, bool) {}
		stop := make(chan struct{})
		took := func(receives bool) time.Duration {
			began := time.Now()
			g.Wait(stop, receives)
			return time.Since(began)
		}
		g.set(Shedding)
		if d := took(false); d != 0 {
			t.Errorf("there is enough, and it waits %v", d)
		}
		g.set(Slowing)
		if d := took(false); d != slowest {
			t.Errorf("slowed by %v", d)
		}
		g.set(Refusing)
		if d := took(true); d != slowest {
			t.Errorf("who receives, too, waits %v", d)
		}
		time.AfterFunc(time.Minute, func() { g.set(Easy) })
		if d := took(false); d != time.Minute {
			t.Errorf("who only publishes waits %v", d)
		}
		g.set(Refusing)
		time.AfterFunc(time.Second/2, func() { close(stop) })
		if d := took(false); d != time.Second/2 {
			t.Errorf("who is gone waits %v", d)
		}
	})
	var none *Governor
	if none.Level() != Easy || none.Limit() != 0 || !none.Wait(nil, false) {
		t.Error("without a limit there is none")
	}
}

func TestLimitOfTheSystemIsRead(t *testing.T) {
	if got := memTotal("MemTotal:       16384 kB\nMemFree: 1 kB\n"); got != 16<<20 {
		t.Errorf("got %d", got)
	}
	if got := Limit(7); got != 7 {
		t.Errorf("configured: %d", got)
	}
}
