package node

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/events"
	"emqttd/actors/admin/operators"
	"emqttd/actors/admin/web"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/sessions"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/presence"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// buildOperators opens the accounts of the HTTP API, which are kept in the store.
func (n *Node) buildOperators() (err error) {
	table, err := n.table("operators", kindOperators)
	if err != nil {
		return err
	}
	n.guesses = web.NewBackoff()
	n.operators, err = operators.Open(operators.Options{Table: table, Pool: access.PasswordPool()})
	return err
}

// loads looks at the mailboxes twice. It blocks for as long as the looks are apart.
func (n *Node) loads(limit, turn int, apart time.Duration) ([]admin.ActorLoad, int) {
	first, left, err := kernel.Loads(n.system, n.root, limit, turn, treeTime)
	if err != nil {
		return nil, 0
	}
	began := time.Now()
	pause := time.NewTimer(apart)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-n.done:
	}
	loads := make([]admin.ActorLoad, 0, len(first))
	for _, f := range first {
		if l, ok := kernel.LoadOf(n.system, f.ID); ok {
			rate := float64(l.Handled-f.Handled) / time.Since(began).Seconds()
			loads = append(loads, admin.ActorLoad{ID: l.ID, Mailbox: l.Waiting, Rate: rate})
		}
	}
	return loads, left
}

// actors counts them. It takes a millisecond.
func (n *Node) actors() (count int) {
	for _, m := range n.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		count += m.Count()
	}
	return count
}

// tap passes on who comes and goes.
type tap struct{ *events.Hub }

// Connected implements presence.Tap.
func (t tap) Connected(c *presence.Client) {
	t.Publish(events.Event{Kind: events.ClientConnected, ClientID: c.ID, Username: c.Username, Peer: c.IP})
}

// Disconnected implements presence.Tap.
func (t tap) Disconnected(id, username, reason string) {
	t.Publish(events.Event{Kind: events.ClientDisconnected, ClientID: id, Username: username, Reason: reason})
}

// tellFilter is told by sessions.
func (n *Node) tellFilter(id protocol.ClientID, r *sessions.Request, removed bool) {
	if n.events.Idle() {
		return
	}
	e := events.Event{Kind: events.Subscribed, ClientID: id, Topic: r.Text, QoS: byte(r.Options.QoS)}
	if removed {
		e.Kind = events.Unsubscribed
	}
	n.events.Publish(e)
}

// tellAlarm is told by the board of alarms.
func (n *Node) tellAlarm(a alarm.Alarm) {
	e := events.Event{Kind: events.AlarmRaised, Alarm: a.ID, Severity: a.Severity, Title: a.Title}
	if a.Cleared {
		e.Kind = events.AlarmCleared
	}
	n.events.Publish(e)
}

func (n *Node) retainedTopics(cursor string, limit int) (page []string, next string) {
	at := retained.Cursor(cursorOf(cursor))
	for len(page) < limit {
		f := actor.NewFuture(n.system, answerTime)
		n.retained.List(&retained.List{Cursor: at, Limit: limit - len(page), ReplyTo: f.PID()})
		answer, err := f.Result()
		r, ok := answer.(*retained.Listed)
		if err != nil || !ok {
			break
		}
		for _, name := range r.Topics {
			page = append(page, string(name))
		}
		if at = r.Next; at == 0 {
			break
		}
	}
	return page, cursorText(topics.Cursor(at))
}

var errClean = errors.New("the retained messages were not deleted in time")

func (n *Node) cleanRetained() (int, error) {
	f := actor.NewFuture(n.system, answerTime)
	n.retained.Clean(&retained.Clean{ReplyTo: f.PID()})
	r, err := f.Result()
	if cleaned, ok := r.(*retained.Cleaned); ok && err == nil {
		return cleaned.Count, nil
	}
	return 0, errClean
}

var waitsFor = map[delivery.Phase]string{
	delivery.AwaitPuback: "puback", delivery.AwaitPubrec: "pubrec", delivery.AwaitPubcomp: "pubcomp",
}

func (n *Node) contents(id string, limit int) (admin.SessionContents, bool) {
	c := admin.SessionContents{Inflight: []admin.QueuedMessage{}, Queue: []admin.QueuedMessage{}}
	pid := n.where(id)
	if pid == nil {
		return c, false
	}
	r := ask[sessions.ContentsResult](n, pid, func(to *actor.PID) any {
		return &sessions.ContentsQuery{Limit: limit, ReplyTo: to}
	})
	if r == nil || r.PID == nil {
		return c, false
	}
	for i := range r.Contents.Flights {
		f := &r.Contents.Flights[i]
		m := queued(f)
		m.PacketID, m.Waits = uint16(f.ID), waitsFor[f.Phase]
		if f.Sent != 0 {
			at := time.UnixMilli(f.Sent).UTC()
			m.Sent = &at
		}
		c.Inflight = append(c.Inflight, m)
	}
	for i := range r.Contents.Queue {
		c.Queue = append(c.Queue, queued(&r.Contents.Queue[i]))
	}
	c.QueueLen = r.Contents.Waiting
	return c, true
}

func queued(h *delivery.Held) admin.QueuedMessage {
	q := admin.QueuedMessage{QoS: byte(h.QoS)}
	if m := h.Message; m != nil {
		q.Topic, q.Size, q.From, q.Arrived = string(m.Topic), len(m.Payload), m.From, time.UnixMilli(m.Arrived).UTC()
	}
	return q
}

func (n *Node) listAlarms() []admin.AlarmInfo {
	list := []admin.AlarmInfo{}
	for _, a := range n.alarms.List() {
		list = append(list, admin.AlarmInfo{ID: a.ID, Severity: a.Severity, Title: a.Title, Summary: a.Summary, Since: a.Since.UTC()})
	}
	return list
}

// settings are the keys of the configuration that is in force.
func (n *Node) settings() []admin.Setting {
	all := n.conf.Running().Settings()
	list := make([]admin.Setting, len(all))
	for i, s := range all {
		list[i] = admin.Setting{Key: s.Key, Value: s.Value, Type: s.Type}
	}
	return list
}
