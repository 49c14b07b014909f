package topics

import (
	"fmt"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

// Spec is the subtree "topics". Without one of its shards nobody could
// subscribe any more, so they are permanent.
func (r *Router) Spec() kernel.ChildSpec {
	specs := make([]kernel.ChildSpec, len(r.tables))
	for i, t := range r.tables {
		specs[i] = kernel.ChildSpec{
			Name: strconv.Itoa(i),
			Props: kernel.NewProps(func() actor.Actor { return &shard{table: t} },
				kernel.WithMailbox(kernel.MailboxOptions{NotifyEmpty: t.out != nil})),
			Restart: kernel.Permanent,
		}
	}
	return kernel.ChildSpec{Name: "topics", Props: kernel.Supervisor(specs), Restart: kernel.Permanent}
}

// shard is the actor that writes one table. It has no state of its own: a new
// instance goes on where the old one was killed.
type shard struct{ table *table }

// Receive handles the messages of the package and nothing else.
func (s *shard) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Subscribe:
		s.onSubscribe(c, m)
	case *Unsubscribe:
		existed := s.table.unsubscribe(m.Subscriber, m.Subscription)
		if m.ReplyTo != nil {
			c.Send(m.ReplyTo, &Unsubscribed{Token: m.Token, Existed: existed})
		}
	case *Forget:
		s.forget(c, m.Subscriber, 0)
	case *more:
		s.forget(c, m.subscriber, m.from)
	case *Touch:
		s.table.touch(m)
	case *sweep:
		if next := s.table.sweep(m); next != 0 {
			c.Send(c.Self(), &sweep{m.to, m.keep, next})
		} else {
			m.to.part(Digest{})
		}
	case *apply:
		s.table.apply(m)
	case *actor.Started:
		s.table.pid.Store(c.Self())
	case *kernel.Empty:
		s.table.flush()
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		if !s.neighbourly(c) {
			c.Logger().Warn("unexpected message", "actor", c.Self().GetId(), "type", fmt.Sprintf("%T", m))
		}
	}
	if x := s.table.out; x != nil {
		if x.handled++; x.handled >= tellLen {
			s.table.flush()
		}
	}
}

// neighbourly handles what concerns other nodes.
func (s *shard) neighbourly(c actor.Context) bool {
	t := s.table
	if t.out == nil {
		return false
	}
	switch m := c.Message().(type) {
	case *meet:
		t.meet(c, m.who)
	case *leave:
		t.leave(m.who)
	case *audit:
		if n := t.out.find(m.who); n != nil {
			t.audit(n)
		}
	case *goOn:
		if n := t.out.find(m.who); n != nil {
			t.goOn(c, n)
		}
	case *mind:
		if n := t.out.find(m.who); n != nil {
			n.minded = m.yes
			t.release()
		}
	case *heard:
		if n := t.out.find(m.who); n != nil {
			t.heard(c, n, m.number)
		}
	case *repeat:
		if n := t.out.find(m.who); n != nil {
			t.repeat(c, n)
		}
	default:
		return false
	}
	return true
}

func (s *shard) onSubscribe(c actor.Context, m *Subscribe) {
	added := s.table.subscribe(m)
	if m.ReplyTo != nil {
		s.table.fence(c, m.ReplyTo, &Subscribed{Token: m.Token, New: added})
	}
}

func (s *shard) forget(c actor.Context, who *Subscriber, from uint32) {
	if next := s.table.forget(who, from); next != 0 {
		c.Send(c.Self(), &more{who, next})
	}
}
