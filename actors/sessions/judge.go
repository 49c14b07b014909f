package sessions

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/topics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// Judge says what a client may do. It may be asked from any goroutine, and may
// wait for a back end.
type Judge interface {
	MayPublish(topic.Name) bool
	MaySubscribe(topic.Filter) bool
}

// Rejudge tells a session that what its client may do has changed: subscriptions
// that are not allowed any more end, and what waits because of them goes.
type Rejudge struct {
	Generation uint64
	Judge      Judge // from now on; nil: the one it has
}

// judged are the filters that a client may not have. They are found on a
// goroutine of their own, because a judge may wait for a database.
type judged struct {
	attach     *Attach // goes on with it, not nil before the client has its session
	generation uint64
	denied     []string
	will       bool // it may not be published
}

// rejudge begins to look at all subscriptions; attach goes on when that is done.
func (s *session) rejudge(judge Judge, generation uint64, attach *Attach) {
	filters := make([]subscription, len(s.subs.list))
	copy(filters, s.subs.list)
	var will topic.Name
	if s.link != nil && attach == nil && s.link.will != nil {
		will = s.link.will.Message.Topic
	}
	root, self := s.rt.System.Root, s.self
	go func() {
		m := &judged{attach: attach, generation: generation, will: will != "" && !judge.MayPublish(will)}
		for _, x := range filters {
			f, err := topic.ParseSubscription(x.text)
			if err == nil && !judge.MaySubscribe(f.Filter) {
				m.denied = append(m.denied, x.text)
			}
		}
		root.Send(self, m)
	}()
}

// own says whom the session belongs to; nobody if there is no name.
func (s *session) own(user string) {
	if user != "" {
		s.owner = &user
	}
}

// owned is whom the session belongs to, empty for nobody.
func (s *session) owned() string {
	if s.owner == nil {
		return ""
	}
	return *s.owner
}

// barred tells whether the session belongs to somebody else than a client with
// this user name.
func (s *session) barred(user string) bool {
	return s.sub != nil && s.owner != nil && *s.owner != user
}

// needsJudging tells whether subscriptions that are there have to be looked at
// before a client may have them.
func (s *session) needsJudging(m *Attach) bool {
	return s.sub != nil && m.Judge != nil && !m.judged && s.subs.len() > 0
}

// onJudged ends what is not allowed.
func (s *session) onJudged(c actor.Context, m *judged) {
	if m.attach == nil && !s.current(m.generation) {
		return
	}
	if m.will {
		s.rt.Log.Warn("will refused by the access rules", "client_id", s.id)
		s.link.will = nil
		s.putSession()
	}
	s.revoke(m.denied)
	if m.attach != nil {
		m.attach.judged = true
		s.attach(c, m.attach)
		return
	}
	if len(m.denied) > 0 && s.link.client.Version == mqtt.V5 { // MQTT 5 has no other way to tell it
		c.Send(s.link.pid, &Violation{
			Generation: m.generation, Code: protocol.NotAuthorized, Reason: "subscription_revoked",
		})
	}
}

// revoke ends subscriptions, and lets go of what waits only because of them.
func (s *session) revoke(texts []string) {
	if len(texts) == 0 {
		return
	}
	var gone []topic.Filter
	for _, text := range texts {
		f, err := topic.ParseSubscription(text)
		if err != nil || !s.subs.remove(text) {
			continue
		}
		s.census().subscriptions.Add(-1)
		s.rt.Log.Info("subscription revoked", "client_id", s.id, "filter", text)
		gone = append(gone, f.Filter)
		s.rt.Router.Unsubscribe(&topics.Unsubscribe{Subscriber: s.sub, Subscription: f})
		if s.keep != nil {
			s.ops().DropSubscription(s.keep.id, text)
		}
	}
	left := s.filters()
	s.state.Forbid(func(n topic.Name) bool {
		for _, f := range left {
			if topic.Match(f.Filter, n) {
				return false
			}
		}
		for _, f := range gone {
			if topic.Match(f, n) {
				return true
			}
		}
		return false
	})
	s.work() // so that the turn ends with a commit
}

// refusedTo says why somebody else's session is neither handed over nor ended.
func (s *session) refusedTo(c actor.Context, conn *actor.PID, generation uint64) {
	s.rt.Log.Warn("the session of another user was asked for", "client_id", s.id)
	s.rt.Metrics.Refuse("client_id_owned")
	c.Send(conn, &Refused{Generation: generation, Code: protocol.NotAuthorized})
}
