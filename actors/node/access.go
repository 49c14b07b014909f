package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"emqttd/actors/access"
	"emqttd/actors/access/backends"
	"emqttd/cluster/replicas"
	"emqttd/cluster/wire"
)

// door is the access chain with what keeps it running.
type door struct {
	chain  *access.Chain
	tables []*replicas.Map
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	changes []access.Selector // that clients have not been judged by
	more    chan struct{}     // has room for one
}

// buildAccess makes the chain of the configuration. Its users and bans are kept in
// the store.
func (n *Node) buildAccess() error {
	scram, err := n.scramUsers()
	if err != nil {
		return err
	}
	users, err1 := n.table("users", kindUsers)
	clients, err2 := n.table("clients", kindClients)
	bans, err3 := n.table("bans", kindBans)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	d := &n.door
	d.more = make(chan struct{}, 1)
	pool := access.PasswordPool()
	d.chain, err = access.FromConfig(n.config, access.Parts{
		Users: users, Clients: clients, Bans: bans,
		Pool: pool, Scram: scram, Log: n.log,
		Backend: func(name string) (access.Module, error) { return backends.New(n.config, name, pool, n.log) },
	})
	if err != nil {
		return err
	}
	d.chain.OnChange(d.changed)
	return nil
}

// openDoor begins to watch what the chain depends on. The tree is running.
func (n *Node) openDoor() {
	ctx, stop := context.WithCancel(context.Background())
	d := &n.door
	d.stop = stop
	for _, t := range d.tables {
		t.Live()
	}
	d.ended.Go(func() { d.chain.Run(ctx) })
	d.ended.Go(func() { d.judge(ctx, n.connections.AccessChanged) })
}

func (n *Node) closeDoor() {
	d := &n.door
	if d.chain == nil {
		return
	}
	if d.stop != nil {
		d.stop()
	}
	d.ended.Wait()
	d.chain.Close()
}

// changed notes a change. Many at a time become one.
func (d *door) changed(s access.Selector) {
	d.mu.Lock()
	switch {
	case s == access.Selector{}, len(d.changes) > maxChanges:
		d.changes = append(d.changes[:0], access.Selector{})
	case len(d.changes) == 1 && d.changes[0] == access.Selector{}:
	default:
		d.changes = append(d.changes, s)
	}
	d.mu.Unlock()
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// maxChanges is from how many changes on it is cheaper to judge everybody.
const maxChanges = 1000

// judge has clients judged anew, one change after the other.
func (d *door) judge(ctx context.Context, changed func(access.Selector)) {
	for {
		select {
		case <-d.more:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		list := d.changes
		d.changes = nil
		d.mu.Unlock()
		for _, s := range list {
			changed(s)
		}
	}
}

// table is one of users or bans, which is kept in the store and the same on all
// nodes. kind is what its changes go to others under.
func (n *Node) table(name string, kind uint32) (*replicas.Map, error) {
	m, err := replicas.OpenMap(replicas.MapOptions{
		Node: n.config.Node.Name, Clock: n.mesh.net.Clock(), Disk: n.disk.Table(name), Tombstones: tombstones,
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m.Replicate(replicas.New(n.mesh.net, m, replicas.Options{Kind: kind, Log: n.log}))
	n.door.tables = append(n.door.tables, m)
	return m, nil
}

// The kinds of the tables.
const (
	kindUsers = wire.KindAccess + iota
	kindClients
	kindBans
	kindOperators
)
