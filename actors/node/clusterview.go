package node

import (
	"errors"
	"slices"
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
	if !v.within(joinTime, func() bool { return len(v.node.mesh.net.View().Members) == 1 }) {
		return errors.New("the others are still there")
	}
	return nil
}

// ForceLeave implements admin.Cluster.
func (v clusterView) ForceLeave(name string) error {
	if name == v.node.config.Node.Name {
		return admin.ErrSelf
	}
	if !v.has(name) {
		return admin.ErrNotInCluster
	}
	v.node.mesh.net.ForceLeave(name)
	if !v.within(joinTime, func() bool { return !v.has(name) }) {
		return errors.New("it is still there")
	}
	return nil
}

func (v clusterView) has(name string) bool {
	return slices.ContainsFunc(v.Members(), func(m admin.MemberInfo) bool { return m.Name == name })
}

// within waits until something is so, and tells whether it is.
func (v clusterView) within(limit time.Duration, so func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if so() {
			return true
		}
	}
	return false
}
