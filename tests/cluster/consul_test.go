package cluster

import (
	"testing"

	"emqttd/protocol"
)

// Whatever happens to Consul, nodes that know each other go on, and those that come
// later find them once it is back.
func TestTheClusterGoesOnWithoutConsul(t *testing.T) {
	r := prepare(t, 3)
	r.consul.Stop(t)
	r.start(r.nodes...) // unreachable at boot: each is alone
	r.consul.Start(t)
	r.awaitMembers(r.nodes...)

	f := flow(t, protocol.ExactlyOnce, r.nodes...)
	r.consul.Stop(t)
	for _, n := range r.nodes {
		n.awaitLog("alarm=consul")
	}
	r.reachable(r.nodes)
	r.consul.Start(t) // it has forgotten everything
	late := r.add()
	r.start(late)
	r.awaitMembers(r.nodes...)

	r.consul.Freeze(t)
	pass(t, downIn)
	r.awaitMembers(r.nodes...)
	r.reachable(r.nodes)
	r.consul.Thaw(t)
	f.check()
}
