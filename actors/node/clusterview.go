package node

import (
	"errors"
	"time"

	"emqttd/actors/admin"
	"emqttd/cluster"
)

// clusterView is what operators ask of the cluster, and tell it.
type clusterView struct{ node *Node }

// joinTime is how long an operator waits for a node to answer.
const joinTime = 10 * time.Second

// Members implements admin.Cluster: those that count, and those that are down and
// looked for.
func (v clusterView) Members() []admin.MemberInfo {
	view := v.node.mesh.net.View()
	var out []admin.MemberInfo
	for _, m := range view.Members {
		out = append(out, admin.MemberInfo{Name: m.Name, Address: m.Address, Version: m.Version, State: m.State.String()})
	}
	for _, c := range v.node.mesh.net.Known() {
		if _, counts := view.Member(c.Name); !counts && c.Name != "" {
			out = append(out, admin.MemberInfo{Name: c.Name, Address: c.Address, State: cluster.Down.String()})
		}
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
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(joinTime); time.Now().Before(end); <-tick.C {
		if len(v.node.mesh.net.View().Members) == 1 {
			return nil
		}
	}
	return errors.New("the others are still there")
}

// ForceLeave implements admin.Cluster.
func (v clusterView) ForceLeave(name string) error {
	if name == v.node.config.Node.Name {
		return admin.ErrSelf
	}
	v.node.mesh.net.ForceLeave(name)
	return nil
}
