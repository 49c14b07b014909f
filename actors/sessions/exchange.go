package sessions

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/retained"
	"emqttd/actors/store"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// exchange is a SUBSCRIBE or UNSUBSCRIBE, or an operator's Change, that waits
// until the topic shards have put every filter into effect: only then is it
// acknowledged, so that a PUBLISH accepted afterwards reaches the subscriber.
type exchange struct {
	token    uint64 // of its first filter; the others follow
	id       protocol.PacketID
	requests []Request
	codes    []protocol.ReasonCode
	fresh    []bool // the subscription did not exist before
	left     int
	remove   bool
	done     func()     // nobody asked: they are those of a session that comes from elsewhere
	replyTo  *actor.PID // of a Change
}

// talks are the conversations of a session with topic shards and retained
// stores that are under way.
type talks struct {
	pending []*exchange
	replays []replay
}

func (s *session) talk() *talks {
	if s.talks == nil {
		s.talks = new(talks)
	}
	return s.talks
}

// silence lets go of the memory when no conversation is left.
func (s *session) silence() {
	if t := s.talks; t != nil && len(t.pending) == 0 && len(t.replays) == 0 {
		s.talks = nil
	}
}

// forgetExchanges drops what was to be acknowledged on a connection that is gone.
// An operator still wants to know.
func (s *session) forgetExchanges() {
	if s.talks != nil {
		s.talks.pending = slices.DeleteFunc(s.talks.pending, func(x *exchange) bool { return x.replyTo == nil && x.done == nil })
		s.silence()
	}
}

// replay is a look-up in the retained stores that has not been answered in full.
type replay struct {
	token uint64
	text  string
}

func (s *session) newExchange(id protocol.PacketID, requests []Request, remove bool) *exchange {
	n := len(requests)
	x := &exchange{
		token: s.tokens, id: id, requests: requests, remove: remove,
		codes: make([]protocol.ReasonCode, n), fresh: make([]bool, n),
	}
	s.tokens += uint64(n)
	return x
}

func (s *session) subscribe(m *Subscribe) {
	defer m.Flow.took()
	if !s.current(m.Generation) {
		return
	}
	s.startSubscribe(s.newExchange(m.ID, m.Requests, false))
}

func (s *session) startSubscribe(x *exchange) {
	for i := range x.requests {
		r := &x.requests[i]
		if x.codes[i] = s.admit(r); x.codes[i].IsError() {
			continue
		}
		if x.fresh[i] = s.subs.put(r.Text, r.Options); x.fresh[i] {
			s.census().subscriptions.Add(1)
		}
		x.left++
		if s.keep != nil {
			s.ops().PutSubscription(s.keep.id, storeOf(r.Text, r.Options))
			s.work() // so that the turn ends with a commit
		}
		s.rt.Router.Subscribe(s.subscription(r, x.token+uint64(i)))
	}
	s.await(x)
}

func (s *session) subscription(r *Request, token uint64) *topics.Subscribe {
	return &topics.Subscribe{
		Subscriber: s.sub, Subscription: r.Subscription, QoS: r.Options.QoS,
		NoLocal: r.Options.NoLocal, RetainAsPublished: r.Options.RetainAsPublished,
		SubscriptionID: r.Options.ID, Token: token, ReplyTo: s.self,
	}
}

// stored is a stored subscription as a client would ask for it.
func stored(u *store.Subscription) (Request, error) {
	f, err := topic.ParseSubscription(u.Text)
	return Request{
		Text: u.Text, Subscription: f,
		Options: Options{ID: u.ID, QoS: u.QoS, NoLocal: u.NoLocal, RetainAsPublished: u.RetainAsPublished},
	}, err
}

// admit decides about one filter: its code in the SUBACK.
func (s *session) admit(r *Request) protocol.ReasonCode {
	if r.Denied.IsError() {
		return r.Denied
	}
	if s.keep != nil && s.rt.Disk.Refusing() {
		return protocol.QuotaExceeded
	}
	if limit := s.rt.maxSubscriptions(); limit > 0 && s.subs.len() >= limit && s.subs.find(r.Text) < 0 {
		s.rt.Log.Warn("subscription refused: too many", "client_id", s.id, "max_subscriptions", limit)
		return protocol.QuotaExceeded
	}
	return protocol.ReasonCode(r.Options.QoS)
}

func (s *session) unsubscribe(m *Unsubscribe) {
	defer m.Flow.took()
	if !s.current(m.Generation) {
		return
	}
	s.startUnsubscribe(s.newExchange(m.ID, m.Requests, true))
}

func (s *session) startUnsubscribe(x *exchange) {
	for i := range x.requests {
		r := &x.requests[i]
		if !s.subs.remove(r.Text) {
			x.codes[i] = protocol.NoSubscriptionExisted
			continue
		}
		s.census().subscriptions.Add(-1)
		x.left++
		if s.keep != nil {
			s.ops().DropSubscription(s.keep.id, r.Text)
			s.work()
		}
		s.rt.Router.Unsubscribe(&topics.Unsubscribe{
			Subscriber: s.sub, Subscription: r.Subscription, Token: x.token + uint64(i), ReplyTo: s.self,
		})
	}
	s.await(x)
}

// change does for an operator what SUBSCRIBE or UNSUBSCRIBE does for a client.
func (s *session) change(_ actor.Context, m *Change) {
	if s.leaving() != nil || s.arriving() != nil {
		s.rt.System.Root.Send(m.ReplyTo, &Changed{Reason: protocol.ServerBusy})
		return
	}
	x := s.newExchange(0, []Request{m.Request}, m.Remove)
	x.replyTo = m.ReplyTo
	if m.Remove {
		s.startUnsubscribe(x)
		return
	}
	s.startSubscribe(x)
}

func (s *session) await(x *exchange) {
	if x.left == 0 && (s.talks == nil || len(s.talks.pending) == 0) {
		s.complete(x)
		return
	}
	t := s.talk()
	t.pending = append(t.pending, x)
}

// confirm takes one answer of a topic shard. Exchanges are completed in the order
// in which they came: clients are surprised by anything else.
func (s *session) confirm(token uint64) {
	if s.talks == nil {
		return
	}
	for _, x := range s.talks.pending {
		if token >= x.token && token < x.token+uint64(len(x.codes)) {
			x.left--
			break
		}
	}
	for s.talks != nil && len(s.talks.pending) > 0 && s.talks.pending[0].left == 0 {
		x := s.talks.pending[0]
		s.talks.pending = slices.Delete(s.talks.pending, 0, 1)
		s.complete(x)
		s.silence()
	}
}

// complete answers the client, then asks for the retained messages: SUBACK goes
// before them.
func (s *session) complete(x *exchange) {
	if x.done != nil {
		x.done()
	} else if x.replyTo != nil {
		s.rt.System.Root.Send(x.replyTo, &Changed{Reason: x.codes[0]})
	} else if s.link != nil {
		s.acknowledge(x)
	}
	s.tell(x)
	if x.remove {
		return
	}
	for i := range x.requests {
		r := &x.requests[i]
		if x.codes[i].IsError() || r.Subscription.Group != "" || // [MQTT-4.8.2-1] non-normative comment
			r.RetainHandling == mqtt.SendNoRetained ||
			(r.RetainHandling == mqtt.SendRetainedIfNew && !x.fresh[i]) {
			continue
		}
		s.lookup(r)
	}
}

// tell tells who listens which filters have come or gone.
func (s *session) tell(x *exchange) {
	if x.done != nil { // restored
		return
	}
	for i := range x.requests {
		if x.codes[i].IsError() || x.codes[i] == protocol.NoSubscriptionExisted {
			continue
		}
		if s.rt.OnFilter != nil {
			s.rt.OnFilter(s.id, &x.requests[i], x.remove)
		}
		s.tellFilter(&x.requests[i], x.remove)
	}
}

func (s *session) lookup(r *Request) {
	token := s.tokens
	s.tokens++
	t := s.talk()
	t.replays = append(t.replays, replay{token: token, text: r.Text})
	s.rt.Retained.Lookup(&retained.Lookup{Filter: r.Subscription.Filter, Token: token, ReplyTo: s.self})
}

// replayOf names the subscription for which a look-up was made.
func (s *session) replayOf(m *retained.Found) string {
	if s.talks == nil {
		return ""
	}
	t := s.talks
	for i, r := range t.replays {
		if r.token != m.Token {
			continue
		}
		if m.Last {
			t.replays = append(t.replays[:i], t.replays[i+1:]...)
			s.silence()
		}
		return r.text
	}
	return ""
}

func (s *session) acknowledge(x *exchange) {
	out, v := s.work(), s.link.client.Version
	out.Promise = true
	s.rt.Metrics.Inc(metrics.PacketsSent)
	if x.remove {
		s.rt.Metrics.Inc(metrics.PacketsUnsuback)
		p := mqtt.Unsuback{ID: x.id, Codes: x.codes}
		out.Packets = p.Append(out.Packets, v)
		return
	}
	s.rt.Metrics.Inc(metrics.PacketsSuback)
	p := mqtt.Suback{ID: x.id, Codes: x.codes}
	for _, c := range x.codes {
		if c.IsError() && !s.link.client.NoProblemInfo {
			p.Reason = c.String()
			break
		}
	}
	out.Packets = p.Append(out.Packets, v)
}

// filters are the session's subscriptions as topic shards know them.
func (s *session) filters() []topic.Subscription {
	fs := make([]topic.Subscription, 0, s.subs.len())
	for _, x := range s.subs.list {
		if f, err := topic.ParseSubscription(x.text); err == nil {
			fs = append(fs, f)
		}
	}
	return fs
}
