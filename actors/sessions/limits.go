package sessions

import "emqttd/protocol/delivery"

// limits are what may change while sessions are there.
type limits struct {
	delivery         *delivery.Limits
	maxSubscriptions int
}

// SetLimits changes Limits and MaxSubscriptions, at any time. New sessions have the
// new Limits, others when their client connects again. Priorities must be those of
// before: what is on disk lies by them.
func (rt *Runtime) SetLimits(l *delivery.Limits, maxSubscriptions int) {
	rt.changed.Store(&limits{l, maxSubscriptions})
}

func (rt *Runtime) limits() *delivery.Limits {
	if c := rt.changed.Load(); c != nil {
		return c.delivery
	}
	return rt.Limits
}

func (rt *Runtime) maxSubscriptions() int {
	if c := rt.changed.Load(); c != nil {
		return c.maxSubscriptions
	}
	return rt.MaxSubscriptions
}
