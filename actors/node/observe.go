package node

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"emqttd/actors/kernel"
	"emqttd/actors/system/prometheus"
)

// ageWait is how long a look at the mailboxes takes at most. The actors that all
// clients share answer in microseconds, unless they are behind.
const ageWait = 5 * time.Millisecond

// prometheus shows the figures of the node.
func (n *Node) prometheus() http.Handler {
	watch := sync.OnceValue(n.watch)
	return prometheus.Handler(prometheus.Options{
		Node: n.config.Node.Name, Version: n.options.Version, Started: n.started, Metrics: n.metrics,
		MailboxAge: func() time.Duration {
			if !n.running.Load() {
				return 0
			}
			age, _ := watch().Oldest(ageWait)
			return age
		},
		More: n.figures,
	})
}

// watch looks at the mailboxes that all clients share. The tree runs.
func (n *Node) watch() *kernel.Watch {
	var ids []string
	for _, part := range []string{"node/topics", "node/retained", "node/cluster", "node/store"} {
		t, err := kernel.Tree(n.system, n.system.NewLocalPID(part), treeTime)
		if err == nil {
			ids = append(ids, leaves(&t)...)
		}
	}
	return kernel.NewWatch(n.system, ids)
}

func leaves(t *kernel.Node) (ids []string) {
	if len(t.Children) == 0 {
		return []string{t.ID}
	}
	for i := range t.Children {
		ids = append(ids, leaves(&t.Children[i])...)
	}
	return ids
}

// figures are those of the parts that keep their own.
func (n *Node) figures() []prometheus.Figure {
	s := n.disk.Stats()
	refusing := 0.0
	if s.State.Refusing {
		refusing = 1
	}
	return slices.Concat([]prometheus.Figure{
		gauge("alarms", "Alarms that are on.", float64(len(n.alarms.List()))),
		gauge("memory_level", "What is done because memory runs short: 0 nothing, 1 shedding, 2 slowing, 3 refusing.", float64(n.connections.Memory.Level())),
		gauge("store_refusing", "1 while the store takes nothing new.", refusing),
		gauge("store_disk_bytes", "Size of the files of the store.", float64(s.DiskBytes)),
		gauge("store_waiting_groups", "Groups of changes that wait to be written.", float64(s.Waiting)),
		gauge("store_shared_messages", "Messages that the store keeps once for several sessions.", float64(s.Shared)),
		total("store_groups_total", "Groups of changes that were written.", s.Groups),
		total("store_changes_total", "Changes that were written.", s.Changes),
		total("store_written_bytes_total", "Bytes written to the disk, merging included.", s.DiskWritten),
		total("store_syncs_total", "Syncs of the disk.", s.Syncs),
		{Name: "store_sync_seconds_total", Help: "Time that syncs took.", Value: s.SyncTime.Seconds(), Counter: true},
		total("store_errors_total", "Tables that could not be written or read.", s.Errors),
		gauge("conf_number", "Number of the configuration in the history.", float64(n.conf.Number())),
		gauge("conf_pending", "Changed keys that wait for a restart.", float64(len(n.conf.Pending()))),
		total("conf_accepted_total", "Configurations that were accepted while the node runs.", n.conf.Accepted()),
		total("conf_refused_total", "Configurations that were refused while the node runs.", n.conf.Refused()),
		total("cleanup_panics_total", "Actors that panicked while they ended: each is a bug.", kernel.CleanupPanics()),
	}, n.spanFigures(), n.clusterFigures())
}
