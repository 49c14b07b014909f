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
			Name:    strconv.Itoa(i),
			Props:   kernel.NewProps(func() actor.Actor { return &shard{table: t} }),
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
		s.table.forget(m.Subscriber)
	case *actor.Started:
		s.table.pid.Store(c.Self())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		c.Logger().Warn("unexpected message", "actor", c.Self().GetId(), "type", fmt.Sprintf("%T", m))
	}
}

func (s *shard) onSubscribe(c actor.Context, m *Subscribe) {
	added := s.table.subscribe(m)
	if m.ReplyTo != nil {
		c.Send(m.ReplyTo, &Subscribed{Token: m.Token, New: added})
	}
}
