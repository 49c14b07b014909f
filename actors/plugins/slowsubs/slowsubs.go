// Package slowsubs is the plugin emq_mod_slow_subscribers: it tells which clients
// get their messages late. Late is what was acknowledged (QoS 1 and 2), or written
// (QoS 0), longer after its arrival than slow_subscribers.threshold.
package slowsubs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
)

// options of the table.
type options struct {
	threshold time.Duration
	top       int           // how many are kept
	expire    time.Duration // after which a late message is forgotten
}

// late is the latest message of a client, the one with the longest delay.
type late struct {
	client, topic string
	delay         time.Duration
	at            time.Time
}

// table keeps the slowest.
type table struct {
	options
	mu   sync.Mutex
	list []late // the slowest first
}

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_slow_subscribers", Version: "1.0", Description: "Clients that get messages late",
		Start: func(e *plugins.Env) error {
			r := e.Settings.Read()
			t := &table{options: options{
				threshold: r.Duration("slow_subscribers.threshold", 500*time.Millisecond),
				top:       r.Int("slow_subscribers.top", 10, 1, 1000),
				expire:    r.Duration("slow_subscribers.expire", 5*time.Minute),
			}}
			if err := r.Err(); err != nil {
				return err
			}
			if err := e.AddCommand(t.command()); err != nil {
				return err
			}
			if err := e.Hook(hooks.MessageDelivered, 0, t.delivered); err != nil {
				return err
			}
			return e.Hook(hooks.MessageAcked, 0, t.acked)
		},
	}
}

func (t *table) delivered(c *hooks.Client, m *protocol.Message) hooks.Verdict {
	if m.QoS == protocol.AtMostOnce {
		t.see(c, m)
	}
	return hooks.Continue
}

func (t *table) acked(c *hooks.Client, m *protocol.Message) hooks.Verdict {
	t.see(c, m)
	return hooks.Continue
}

func (t *table) see(c *hooks.Client, m *protocol.Message) {
	now := time.Now()
	delay := time.Duration(now.UnixMilli()-m.Arrived) * time.Millisecond
	if delay < t.threshold || m.Retain && m.Arrived == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	i := slices.IndexFunc(t.list, func(l late) bool { return l.client == c.ID })
	switch {
	case i >= 0 && t.list[i].delay > delay:
		return
	case i >= 0:
		t.list = slices.Delete(t.list, i, i+1)
	}
	t.list = append(t.list, late{strings.Clone(c.ID), strings.Clone(string(m.Topic)), delay, now})
	slices.SortStableFunc(t.list, func(a, b late) int { return cmp.Compare(b.delay, a.delay) })
	t.list = t.list[:min(len(t.list), t.top)]
}

// forget drops what is too long ago.
func (t *table) forget(now time.Time) {
	t.list = slices.DeleteFunc(t.list, func(l late) bool { return now.Sub(l.at) > t.expire })
}

func (t *table) command() plugins.Command {
	return plugins.Command{
		Name: "slow-subscribers",
		Usage: [][2]string{
			{"slow-subscribers list", "Show the clients that get messages late"},
			{"slow-subscribers clear", "Forget them"},
		},
		Run: func(args []string) (string, int) {
			t.mu.Lock()
			defer t.mu.Unlock()
			switch {
			case len(args) == 1 && args[0] == "clear":
				t.list = nil
				return "ok\n", 0
			case len(args) == 1 && args[0] == "list":
				return t.print(time.Now()), 0
			default:
				return "", plugins.WrongArguments
			}
		},
	}
}

func (t *table) print(now time.Time) string {
	t.forget(now)
	var b strings.Builder
	for _, l := range t.list {
		fmt.Fprintf(&b, "SlowSubscriber(%s, topic=%s, delay=%v, ago=%v)\n", l.client, l.topic, l.delay, now.Sub(l.at).Round(time.Second))
	}
	return b.String()
}
