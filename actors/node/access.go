package node

import (
	"context"
	"sync"
	"sync/atomic"

	"emqttd/actors/access"
	"emqttd/actors/access/backends"
	"emqttd/actors/store"
)

// door is the access chain with what keeps it running.
type door struct {
	chain  *access.Chain
	tables []*accessTable
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	changes []access.Selector // that clients have not been judged by
	more    chan struct{}     // has room for one
}

// buildAccess makes the chain of the configuration. Its users and bans are kept in
// the store.
func (n *Node) buildAccess() error {
	users, err := n.scramUsers()
	if err != nil {
		return err
	}
	d := &n.door
	d.more = make(chan struct{}, 1)
	pool := access.PasswordPool()
	d.chain, err = access.FromConfig(n.config, access.Parts{
		Users: d.table(n.disk, "users"), Clients: d.table(n.disk, "clients"), Bans: d.table(n.disk, "bans"),
		Pool: pool, Scram: users, Log: n.log,
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
		t.live.Store(true)
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

// accessTable keeps users or bans in the store.
type accessTable struct {
	table *store.Table
	// live says that the store's actor runs. What the configuration brings before
	// is not waited for: it comes again with the next start.
	live atomic.Bool
}

func (d *door) table(disk *store.Disk, name string) *accessTable {
	t := &accessTable{table: disk.Table(name)}
	d.tables = append(d.tables, t)
	return t
}

// Put implements access.Table.
func (t *accessTable) Put(key, value []byte) error {
	return t.wait(func(done func(error)) { t.table.Put(key, value, done) })
}

// Delete implements access.Table.
func (t *accessTable) Delete(key []byte) error {
	return t.wait(func(done func(error)) { t.table.Delete(key, done) })
}

func (t *accessTable) wait(change func(done func(error))) error {
	if !t.live.Load() {
		change(nil)
		return nil
	}
	safe := make(chan error, 1)
	change(func(err error) { safe <- err })
	return <-safe
}

// Each implements access.Table.
func (t *accessTable) Each(f func(key, value []byte) error) error {
	var first error
	err := t.table.Each(func(key, value []byte) {
		if first == nil {
			first = f(key, value)
		}
	})
	if err != nil {
		return err
	}
	return first
}
