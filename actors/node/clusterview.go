package node

import (
	"time"

	"emqttd/actors/admin"
	"emqttd/cluster"
)

// clusterView is what operators ask of the cluster, and tell it.
type clusterView struct{ node *Node }

// joinTime is how long an operator waits for a node to answer.
const joinTime = 10 * time.Second

// Members implements admin.Cluster.
func (v clusterView) Members() []admin.MemberInfo {
	var out []admin.MemberInfo
	for _, m := range v.node.mesh.net.View().Members {
		out = append(out, admin.MemberInfo{Name: m.Name, Address: m.Address, Version: m.Version, State: m.State.String()})
	}
	return out
}

// Join implements admin.Cluster.
func (v clusterView) Join(address string) error {
	switch n := v.node; {
	case address == n.remote.Address():
		return admin.ErrSelf
	case n.memberAt(address):
		return admin.ErrAlreadyInCluster
	default:
		n.mesh.net.Join(address)
		if !n.await([]cluster.Candidate{{Address: address}}, joinTime) {
			return admin.ErrNodeDown
		}
		return nil
	}
}

// Leave implements admin.Cluster.
func (v clusterView) Leave() error {
	if len(v.node.mesh.net.View().Members) == 1 {
		return admin.ErrNotInCluster
	}
	v.node.mesh.net.Leave()
	return nil
}

// ForceLeave implements admin.Cluster.
func (v clusterView) ForceLeave(name string) error {
	if name == v.node.config.Node.Name {
		return admin.ErrSelf
	}
	v.node.mesh.net.ForceLeave(name)
	return nil
}
