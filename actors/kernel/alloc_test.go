package kernel

import "testing"

// later is a dispatcher that keeps the one thing it was given last.
type later struct{ work func() }

func (d *later) Schedule(fn func()) { d.work = fn }
func (d *later) Throughput() int    { return 300 }

// counter stands for an actor that only counts.
type counter struct{ seen int }

func (c *counter) InvokeSystemMessage(any)  {}
func (c *counter) InvokeUserMessage(any)    { c.seen++ }
func (c *counter) EscalateFailure(_, _ any) {}

// TestAPushIntoAMailboxAllocatesForItsQueueOnly has an actor that keeps up. An idle
// mailbox holds no memory for its queue, which grows by doubling: a few allocations
// for a turn of 64 messages, where one for each would be 64.
func TestAPushIntoAMailboxAllocatesForItsQueueOnly(t *testing.T) {
	for _, class := range []Class{Control, Ack, Subscribe, Deliver} {
		m := NewMailbox(nil)()
		d, c := &later{}, &counter{}
		m.RegisterHandlers(c, d)
		m.Start()
		msg := &note{class: class, size: 64}
		turn := func() {
			for range 64 {
				m.PostUserMessage(msg)
			}
			d.work()
		}
		turn()
		if n := testing.AllocsPerRun(100, turn); n > 6 {
			t.Errorf("class %v: %v allocations for 64 messages", class, n)
		}
		if want := 64 * 102; c.seen != want { // AllocsPerRun runs once more
			t.Errorf("class %v: %d messages arrived, want %d", class, c.seen, want)
		}
	}
}
