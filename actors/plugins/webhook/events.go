package webhook

import (
	"encoding/json"
	"strings"

	"emqttd/actors/hooks"
	"emqttd/protocol"
)

// action is EMQ's name of an event: client_connected.
func action(at hooks.Point) string { return strings.ReplaceAll(at.String(), ".", "_") }

// event is the JSON that is posted. Which fields there are depends on the action.
type event struct {
	Action       string  `json:"action"`
	ClientID     *string `json:"client_id,omitempty"`
	Username     *string `json:"username,omitempty"`
	ConnAck      *int    `json:"conn_ack,omitempty"`
	Reason       *string `json:"reason,omitempty"`
	FromClientID *string `json:"from_client_id,omitempty"`
	FromUsername *string `json:"from_username,omitempty"`
	Topic        *string `json:"topic,omitempty"`
	Opts         *opts   `json:"opts,omitempty"`
	QoS          *byte   `json:"qos,omitempty"`
	Retain       *bool   `json:"retain,omitempty"`
	Payload      *string `json:"payload,omitempty"`
	TS           *int64  `json:"ts,omitempty"` // Unix seconds
}

// opts are those of a subscription.
type opts struct {
	QoS byte `json:"qos"`
}

func of(at hooks.Point, c *hooks.Client) event {
	return event{Action: action(at), ClientID: &c.ID, Username: &c.Username}
}

// withMessage adds a message. A payload that is not UTF-8 has U+FFFD for what is
// not: JSON is text.
func (e event) withMessage(m *protocol.Message) event {
	name, payload, qos, ts := string(m.Topic), strings.ToValidUTF8(string(m.Payload), "\uFFFD"), byte(m.QoS), m.Arrived/1000
	e.Topic, e.Payload, e.QoS, e.Retain, e.TS = &name, &payload, &qos, &m.Retain, &ts
	return e
}

// function is what is called at a point. It encodes the event on the caller's
// goroutine, because what it is about is valid only during the call, and goes.
func (p *poster) function(at hooks.Point) any {
	filters := func(c *hooks.Client, list []hooks.Subscription) hooks.Verdict {
		for i := range list {
			p.filter(at, c, &list[i])
		}
		return hooks.Continue
	}
	filter := func(c *hooks.Client, s *hooks.Subscription) hooks.Verdict {
		p.filter(at, c, s)
		return hooks.Continue
	}
	gone := func(c *hooks.Client, reason string) hooks.Verdict {
		if at != hooks.ClientDisconnected || reason != "auth_failure" {
			e := of(at, c)
			e.Reason = &reason
			p.put(e)
		}
		return hooks.Continue
	}
	message := func(c *hooks.Client, m *protocol.Message) hooks.Verdict {
		if p.wants(at, string(m.Topic)) {
			e := of(at, c).withMessage(m)
			e.FromClientID = &m.From
			p.put(e)
		}
		return hooks.Continue
	}
	switch at {
	case hooks.ClientConnected:
		return func(c *hooks.Client, code protocol.ReasonCode) hooks.Verdict {
			if !code.IsError() { // EMQ tells of those that came in only
				e, zero := of(at, c), 0
				e.ConnAck = &zero
				p.put(e)
			}
			return hooks.Continue
		}
	case hooks.ClientSubscribe, hooks.ClientUnsubscribe:
		return filters
	case hooks.SessionCreated:
		return func(c *hooks.Client) hooks.Verdict {
			p.put(of(at, c))
			return hooks.Continue
		}
	case hooks.SessionSubscribed, hooks.SessionUnsubscribed:
		return filter
	case hooks.MessagePublish:
		return p.published
	case hooks.MessageDelivered, hooks.MessageAcked:
		return message
	default:
		return gone
	}
}

func (p *poster) published(c *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	if !strings.HasPrefix(string(m.Topic), "$SYS/") && p.wants(hooks.MessagePublish, string(m.Topic)) {
		e := event{Action: action(hooks.MessagePublish), FromClientID: &c.ID, FromUsername: &c.Username}
		p.put(e.withMessage(m))
	}
	return m, hooks.Continue
}

func (p *poster) filter(at hooks.Point, c *hooks.Client, s *hooks.Subscription) {
	if s.Refused || !p.wants(at, string(s.Filter)) {
		return
	}
	e := of(at, c)
	e.Topic = &s.Text
	if at != hooks.SessionUnsubscribed {
		e.Opts = &opts{byte(s.QoS)}
	}
	p.put(e)
}

// wants tells whether a rule is about a topic.
func (p *poster) wants(at hooks.Point, name string) bool {
	for _, r := range p.rules[at] {
		if r.fits(name) {
			return true
		}
	}
	return false
}

// put encodes an event into the queue, or drops it. It does not wait.
func (p *poster) put(e event) {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // our own types always encode
	}
	select {
	case p.queue <- body:
	default:
		p.drop("queue_full", nil)
	}
}
