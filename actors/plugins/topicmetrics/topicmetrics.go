// Package topicmetrics is the plugin emq_mod_topic_metrics: it counts the messages
// of some topics.
//
//	topic_metrics.1 = sensors/+/temperature
//
// emqttd_ctl topic-metrics list|add|del shows and changes which; what is added by
// command is forgotten with the node.
package topicmetrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// most is how many filters are counted: each costs a match for each message.
const most = 512

// counted is a filter and what was counted.
type counted struct {
	filter                 topic.Filter
	in, out, acked         atomic.Uint64
	inBytes                atomic.Uint64
	qos0In, qos1In, qos2In atomic.Uint64
}

// table is what is counted: written under the lock, read as a snapshot.
type table struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*counted]
}

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_topic_metrics", Version: "1.0", Description: "Counters of topics",
		Start: func(e *plugins.Env) error {
			t := new(table)
			r := e.Settings.Read()
			for _, key := range r.Each("topic_metrics", "") {
				if err := t.add(r.String(key, "")); err != nil {
					r.Wrong(key, err.Error())
				}
			}
			if err := r.Err(); err != nil {
				return err
			}
			return t.register(e)
		},
	}
}

func (t *table) register(e *plugins.Env) error {
	if err := e.AddCommand(t.command()); err != nil {
		return err
	}
	if err := e.Hook(hooks.MessagePublish, 1000, t.published); err != nil { // as it is after all others
		return err
	}
	if err := e.Hook(hooks.MessageDelivered, 0, t.of(func(c *counted) { c.out.Add(1) })); err != nil {
		return err
	}
	return e.Hook(hooks.MessageAcked, 0, t.of(func(c *counted) { c.acked.Add(1) }))
}

func (t *table) all() []*counted {
	if l := t.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (t *table) published(_ *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	for _, c := range t.all() {
		if topic.Match(c.filter, m.Topic) {
			c.in.Add(1)
			c.inBytes.Add(uint64(len(m.Payload)))
			[...]*atomic.Uint64{&c.qos0In, &c.qos1In, &c.qos2In}[m.QoS].Add(1)
		}
	}
	return m, hooks.Continue
}

func (t *table) of(f func(*counted)) hooks.OnMessage {
	return func(_ *hooks.Client, m *protocol.Message) hooks.Verdict {
		for _, c := range t.all() {
			if topic.Match(c.filter, m.Topic) {
				f(c)
			}
		}
		return hooks.Continue
	}
}

func (t *table) add(text string) error {
	f, err := topic.ParseFilter(text)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	switch {
	case slices.ContainsFunc(old, func(c *counted) bool { return c.filter == f }):
		return fmt.Errorf("%s is counted already", f)
	case len(old) >= most:
		return fmt.Errorf("%d topics are counted already", most)
	}
	list := append(slices.Clone(old), &counted{filter: f})
	slices.SortFunc(list, func(a, b *counted) int { return strings.Compare(string(a.filter), string(b.filter)) })
	t.list.Store(&list)
	return nil
}

func (t *table) remove(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	list := slices.DeleteFunc(slices.Clone(old), func(c *counted) bool { return string(c.filter) == text })
	t.list.Store(&list)
	return len(list) < len(old)
}

func (t *table) command() plugins.Command {
	return plugins.Command{
		Name: "topic-metrics",
		Usage: [][2]string{
			{"topic-metrics list", "Show the counters of topics"},
			{"topic-metrics add <Filter>", "Count the messages of a topic"},
			{"topic-metrics del <Filter>", "Count them no more"},
		},
		Run: t.run,
	}
}

func (t *table) run(args []string) (string, int) {
	switch {
	case len(args) == 1 && args[0] == "list":
		return t.print(), 0
	case len(args) == 2 && args[0] == "add":
		if err := t.add(args[1]); err != nil {
			return fmt.Sprintf("Error: %v\n", err), 1
		}
		return "ok\n", 0
	case len(args) == 2 && args[0] == "del":
		if !t.remove(args[1]) {
			return fmt.Sprintf("Error: %s is not counted\n", args[1]), 1
		}
		return "ok\n", 0
	default:
		return "", plugins.WrongArguments
	}
}

func (t *table) print() string {
	var b strings.Builder
	for _, c := range t.all() {
		fmt.Fprintf(&b, "Topic(%s, in=%d, in_bytes=%d, in_qos0=%d, in_qos1=%d, in_qos2=%d, out=%d, acked=%d)\n",
			c.filter, c.in.Load(), c.inBytes.Load(), c.qos0In.Load(), c.qos1In.Load(), c.qos2In.Load(), c.out.Load(), c.acked.Load())
	}
	return b.String()
}
