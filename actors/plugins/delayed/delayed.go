// Package delayed is the plugin emq_mod_delayed: what is published to
// $delayed/<seconds>/<topic> is published to <topic> after as many seconds.
//
// Messages wait in memory: a restart of the node or of the plugin loses them, and
// says how many. delayed.max bounds their number; beyond it, and for more than
// 4294967 seconds (as in EMQ), the message is dropped and counted.
package delayed

import (
	"container/heap"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

const (
	prefix = "$delayed/"
	// maxSeconds is some fifty days.
	maxSeconds = 4294967
)

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_delayed", Version: "1.0", Description: "Delayed publish",
		Start: func(e *plugins.Env) error {
			r := e.Settings.Read()
			most := r.Int("delayed.max", 100_000, 1, 100_000_000)
			if err := r.Err(); err != nil {
				return err
			}
			pid := e.Actor("queue", kernel.NewProps(func() actor.Actor { return &queue{env: e, most: most} }))
			if err := e.AddCommand(command(e, pid)); err != nil {
				return err
			}
			return e.Hook(hooks.MessagePublish, 100, func(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
				return take(e, pid, m)
			})
		},
	}
}

// take hands a delayed message to the queue.
func take(e *plugins.Env, pid *actor.PID, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	rest, ok := strings.CutPrefix(string(m.Topic), prefix)
	if !ok {
		return m, hooks.Continue
	}
	delay, name, err := parse(rest)
	if err != nil {
		e.Log.Info("a delayed message is none", "topic", string(m.Topic), "client_id", m.From, "error", err)
		return m, hooks.Stop
	}
	later := m.Clone()
	later.Topic, later.From = topic.Name(name), strings.Clone(m.From)
	e.System.Root.Send(pid, &put{later, time.Now().Add(delay)})
	return m, hooks.Stop
}

func parse(rest string) (delay time.Duration, name string, err error) {
	word, name, _ := strings.Cut(rest, "/")
	seconds, err := strconv.ParseUint(word, 10, 32)
	if err != nil || seconds > maxSeconds {
		return 0, "", fmt.Errorf("%q is no number of seconds up to %d", word, maxSeconds)
	}
	if err := topic.CheckName(name); err != nil {
		return 0, "", err
	}
	return time.Duration(seconds) * time.Second, name, nil
}

type (
	put struct {
		message *protocol.Message
		due     time.Time
	}
	wake  struct{}
	count struct{ to chan<- [2]int }
)

// IgnoreDeadLetterLogging: it may come when the plugin has been unloaded.
func (*wake) IgnoreDeadLetterLogging() {}

// queue is the actor that has the messages.
type queue struct {
	env     *plugins.Env
	most    int
	waiting due
	dropped int
	timer   *time.Timer
}

// Receive implements actor.Actor.
func (q *queue) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *put:
		if len(q.waiting) >= q.most {
			q.dropped++
			return
		}
		heap.Push(&q.waiting, m)
		q.arm(c)
	case *wake:
		q.publish(time.Now())
		q.arm(c)
	case *count:
		m.to <- [2]int{len(q.waiting), q.dropped}
	case *actor.Stopping, *actor.Restarting:
		if q.timer != nil {
			q.timer.Stop()
		}
		if n := len(q.waiting); n > 0 {
			q.env.Log.Warn("delayed messages are lost", "count", n)
		}
	}
}

func (q *queue) publish(now time.Time) {
	for len(q.waiting) > 0 && !q.waiting[0].due.After(now) {
		m := heap.Pop(&q.waiting).(*put).message
		m.Arrived = now.UnixMilli()
		q.env.Publish(m)
	}
}

// arm wakes the queue when the next message is due.
func (q *queue) arm(c actor.Context) {
	if q.timer != nil {
		q.timer.Stop()
	}
	if len(q.waiting) == 0 {
		return
	}
	root, self := c.ActorSystem().Root, c.Self()
	q.timer = time.AfterFunc(time.Until(q.waiting[0].due), func() { root.Send(self, &wake{}) })
}

// due is a heap of messages, the next one first.
type due []*put

func (d due) Len() int           { return len(d) }
func (d due) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d due) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *due) Push(x any) { *d = append(*d, x.(*put)) }

// Pop implements heap.Interface.
func (d *due) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return x
}

// command tells how many wait.
func command(e *plugins.Env, pid *actor.PID) plugins.Command {
	return plugins.Command{
		Name: "delayed", Usage: [][2]string{{"delayed", "Show how many delayed messages wait"}},
		Run: func([]string) (string, int) {
			answer := make(chan [2]int, 1)
			e.System.Root.Send(pid, &count{answer})
			select {
			case n := <-answer:
				return fmt.Sprintf("%-20s: %d\n%-20s: %d\n", "delayed/count", n[0], "delayed/dropped", n[1]), 0
			case <-time.After(5 * time.Second):
				return "Error: the plugin does not answer\n", 1
			}
		},
	}
}
