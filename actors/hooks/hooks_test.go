package hooks

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func pass(*Client, *protocol.Message) Verdict { return Continue }

func TestFunctionsAreCalledByPriorityAndThenInTheirOrder(t *testing.T) {
	var h Hooks
	var called []string
	add := func(owner string, priority int) {
		f := func(*Client) Verdict { called = append(called, owner); return Continue }
		if err := h.Add(owner, SessionCreated, priority, f); err != nil {
			t.Fatal(err)
		}
	}
	add("b", 10)
	add("a", 0)
	add("d", 20)
	add("c", 10)
	h.Created(&Client{ID: "x"})
	want := []string{"a", "b", "c", "d"}
	if !slices.Equal(called, want) || !slices.Equal(h.Owners(SessionCreated), want) {
		t.Errorf("called %v, listed %v", called, h.Owners(SessionCreated))
	}
}

func TestAnOwnerHooksAPointOnce(t *testing.T) {
	var h Hooks
	if err := h.Add("a", MessageAcked, 0, pass); err != nil {
		t.Fatal(err)
	}
	if err := h.Add("a", MessageAcked, 0, pass); !errors.Is(err, ErrHooked) {
		t.Errorf("got %v", err)
	}
}

func TestAFunctionThatDoesNotFitIsRefused(t *testing.T) {
	var h Hooks
	for _, f := range []any{nil, 7, func() {}, OnGone(nil), pass} {
		if err := h.Add("a", ClientConnected, 0, f); err == nil || !strings.Contains(err.Error(), "is no hooks.OnClient") {
			t.Errorf("%T: %v", f, err)
		}
	}
	if err := h.Add("a", points, 0, pass); err == nil {
		t.Error("a point that does not exist was hooked")
	}
}

func TestRemoveTakesAwayAllOfOneOwnerAndNothingElse(t *testing.T) {
	var h Hooks
	for at := range points {
		fs := [points]any{
			func(*Client, protocol.ReasonCode) Verdict { return Continue },
			func(*Client, string) Verdict { return Continue },
			func(*Client, []Subscription) Verdict { return Continue },
			func(*Client, []Subscription) Verdict { return Continue },
			func(*Client) Verdict { return Continue },
			func(*Client, *Subscription) Verdict { return Continue },
			func(*Client, *Subscription) Verdict { return Continue },
			func(*Client, string) Verdict { return Continue },
			func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) { return m, Continue },
			pass, pass,
		}
		for _, owner := range []string{"a", "b"} {
			if err := h.Add(owner, at, 0, fs[at]); err != nil {
				t.Fatal(at, err)
			}
		}
	}
	if n := h.Remove("a"); n != int(points) {
		t.Errorf("removed %d", n)
	}
	for at := range points {
		if o := h.Owners(at); !slices.Equal(o, []string{"b"}) || !h.Used(at) {
			t.Errorf("%s has %v", at, o)
		}
	}
	h.Remove("b")
	for at := range points {
		if h.Used(at) {
			t.Errorf("%s is still used", at)
		}
	}
}

func TestStopEndsTheChainAndAStoppedMessageIsNotPublished(t *testing.T) {
	var h Hooks
	reached := false
	stop := func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) { return m, Stop }
	next := func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) { reached = true; return m, Continue }
	if err := errors.Join(h.Add("a", MessagePublish, 0, stop), h.Add("b", MessagePublish, 1, next)); err != nil {
		t.Fatal(err)
	}
	if m := h.Publish(&Client{}, &protocol.Message{Topic: "t"}); m != nil || reached {
		t.Errorf("published %v, the second was called: %v", m, reached)
	}
}

func TestAMessageGoesOnAsTheLastFunctionMadeIt(t *testing.T) {
	var h Hooks
	rename := func(suffix string) OnPublish {
		return func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) {
			c := m.Clone()
			c.Topic += topic.Name("/" + suffix)
			return c, Continue
		}
	}
	if err := errors.Join(h.Add("a", MessagePublish, 0, rename("a")), h.Add("b", MessagePublish, 1, rename("b"))); err != nil {
		t.Fatal(err)
	}
	in := &protocol.Message{Topic: "t"}
	if m := h.Publish(&Client{}, in); m.Topic != "t/a/b" || in.Topic != "t" {
		t.Errorf("%q from %q", m.Topic, in.Topic)
	}
}

func TestAPanicLetsTheThingPassAndNamesTheOwner(t *testing.T) {
	var h Hooks
	var told []string
	h.OnPanic = func(owner string, at Point, reason any) { told = append(told, owner+" "+at.String()) }
	boom := func(*Client, *protocol.Message) (*protocol.Message, Verdict) { panic("boom") }
	crash := func(*Client, string) Verdict { panic("boom") }
	if err := errors.Join(h.Add("a", MessagePublish, 0, boom), h.Add("a", ClientDisconnected, 0, crash)); err != nil {
		t.Fatal(err)
	}
	in := &protocol.Message{Topic: "t"}
	if m := h.Publish(&Client{}, in); m != in {
		t.Errorf("went on with %v", m)
	}
	h.Disconnected(&Client{}, "closed")
	if want := []string{"a message.publish", "a client.disconnected"}; !slices.Equal(told, want) {
		t.Errorf("told %v", told)
	}
}

func TestACallThatBlocksIsOlderThoughOthersReturn(t *testing.T) {
	var h Hooks
	block, inside := make(chan struct{}), make(chan struct{})
	wait := func(c *Client, _ *protocol.Message) Verdict {
		if c.ID == "" {
			inside <- struct{}{}
			<-block
		}
		return Continue
	}
	if err := h.Add("a", MessageAcked, 0, wait); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { h.Acked(&Client{}, &protocol.Message{}); close(done) }()
	<-inside
	if h.Older("a", MessageAcked) {
		t.Error("it is older than what nobody has asked about")
	}
	for range 3 {
		h.Acked(&Client{ID: "quick"}, &protocol.Message{})
		if !h.Older("a", MessageAcked) {
			t.Error("it blocks, and nothing shows it")
		}
	}
	close(block)
	<-done
	for range 3 {
		if h.Older("a", MessageAcked) {
			t.Error("it has returned, and is there")
		}
	}
}

func TestCallingHooksAllocatesNothing(t *testing.T) {
	var h Hooks
	same := func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) { return m, Continue }
	if err := errors.Join(h.Add("a", MessagePublish, 0, same), h.Add("a", MessageDelivered, 0, pass)); err != nil {
		t.Fatal(err)
	}
	c, m := &Client{ID: "c"}, &protocol.Message{Topic: "t"}
	if n := testing.AllocsPerRun(100, func() { h.Publish(c, m); h.Delivered(c, m); h.Acked(c, m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	c, m := &Client{ID: "c"}, &protocol.Message{Topic: "t"}
	same := func(_ *Client, m *protocol.Message) (*protocol.Message, Verdict) { return m, Continue }
	for _, n := range []int{0, 1, 4} {
		b.Run("hooks="+string(rune('0'+n)), func(b *testing.B) {
			var h Hooks
			for i := range n {
				if err := h.Add(string(rune('a'+i)), MessagePublish, 0, same); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(c, m)
			}
		})
	}
}
