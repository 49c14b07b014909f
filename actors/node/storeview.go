package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"emqttd/actors/admin"
	"emqttd/actors/store"
)

// storeDir is where the store is, nextDir where a backup waits to take its place.
func (n *Node) storeDir() string { return filepath.Join(n.config.Path(n.config.Node.DataDir), "store") }

func (n *Node) nextDir() string { return n.storeDir() + ".next" }

// takeNext puts a restored backup in the place of the store, which is kept.
func (n *Node) takeNext() error {
	if n.options.FS != nil {
		return nil
	}
	if _, err := os.Stat(n.nextDir()); err != nil {
		return nil // there is none
	}
	before := n.storeDir() + ".before-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(n.storeDir(), before); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put the restored store in place: %w", err)
	}
	if err := os.Rename(n.nextDir(), n.storeDir()); err != nil {
		return fmt.Errorf("put the restored store in place: %w", err)
	}
	n.log.Warn("the store was restored from a backup", "before", before)
	return nil
}

func (n *Node) storeStats() []admin.Stat {
	s := n.disk.Stats()
	refusing := int64(0)
	if s.State.Refusing {
		refusing = 1
	}
	per := int64(0)
	if s.Syncs > 0 {
		per = s.SyncTime.Microseconds() / int64(s.Syncs)
	}
	return []admin.Stat{
		{Name: "refusing", Value: refusing},
		{Name: "disk_bytes", Value: int64(s.DiskBytes)},
		{Name: "memtable_bytes", Value: int64(s.MemTableBytes)},
		{Name: "files", Value: s.Files},
		{Name: "shared_messages", Value: int64(s.Shared)},
		{Name: "groups", Value: int64(s.Groups)},
		{Name: "changes", Value: int64(s.Changes)},
		{Name: "committed_bytes", Value: int64(s.WrittenBytes)},
		{Name: "written_bytes", Value: int64(s.DiskWritten)},
		{Name: "syncs", Value: int64(s.Syncs)},
		{Name: "sync_us", Value: per},
		{Name: "waiting_groups", Value: int64(s.Waiting)},
		{Name: "errors", Value: int64(s.Errors)},
		{Name: "quarantined", Value: int64(s.Quarantined)},
	}
}

func (n *Node) storeCheck() (admin.StoreReport, error) {
	c, err := n.disk.Check()
	r := admin.StoreReport{Sound: err == nil && c.Sound()}
	if err != nil {
		return r, err
	}
	for kind, count := range c.Records {
		r.Figures = append(r.Figures, admin.Stat{Name: kind, Value: int64(count)})
	}
	sort.Slice(r.Figures, func(i, j int) bool { return r.Figures[i].Name < r.Figures[j].Name })
	r.Figures = append(r.Figures, []admin.Stat{
		{Name: "bytes", Value: int64(c.Bytes)},
		{Name: "undecodable", Value: int64(c.Undecodable)},
		{Name: "unresolved", Value: int64(c.Unresolved)},
		{Name: "orphans", Value: int64(c.Orphans)},
		{Name: "unreadable_parts", Value: int64(c.Holes)},
		{Name: "milliseconds", Value: c.Took.Milliseconds()},
	}...)
	return r, nil
}

// storeBackup and the others take a path that starts at the node's home, as all
// do that stand in its configuration.
func (n *Node) storeBackup(dir string) (string, error) {
	dir = n.config.Path(dir)
	return dir, n.disk.Backup(dir)
}

func (n *Node) storeRestore(dir string) (string, error) {
	next := n.nextDir()
	if _, err := os.Stat(next); err == nil {
		return "", fmt.Errorf("%s is there already: restart the node, or delete it", next)
	}
	err := store.Restore(n.config.Path(dir), next, store.Options{Node: n.config.Node.Name, Log: n.log})
	if err != nil {
		_ = os.RemoveAll(next) // it is not whole
	}
	return next, err
}

func (n *Node) storeExport(name string) (string, error) {
	name = n.config.Path(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	count, err := n.disk.Export(w)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	return fmt.Sprintf("%s (%d records)", name, count), nil
}
