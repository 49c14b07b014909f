// Package node puts the parts together: it makes the actor system, starts the
// supervision tree in order, and stops it in reverse. docs/ARCHITECTURE.md
// draws the tree.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/actors/access"
	"emqttd/actors/admin/events"
	"emqttd/actors/admin/operators"
	"emqttd/actors/configuration"
	"emqttd/actors/connections"
	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/listeners"
	"emqttd/actors/plugins"
	"emqttd/actors/retained"
	"emqttd/actors/sessions"
	"emqttd/actors/store"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/metrics"
	"emqttd/actors/system/otel"
	"emqttd/actors/topics"
	"emqttd/cluster/link"
	"emqttd/cluster/registry"
	"emqttd/config"
)

// Options are what a node is given besides its configuration.
type Options struct {
	Logger  *slog.Logger
	Version string
	// OnGiveUp is called once if an essential part could not be kept running:
	// the process should end with an error.
	OnGiveUp func(error)
	// Conf is where the configuration comes from, so that it can be read again while
	// the node runs. nil: it comes from no file, and stays.
	Conf *config.Loaded
	// FixedGC leaves the garbage collector's pace as it is; see actors/system/memory.
	FixedGC bool
	// MemoryLimit is how much memory the process is kept below, in bytes; 0 is no
	// limit. Of several nodes in a process one may have it.
	MemoryLimit uint64
	// Boot, if not nil, is told a line for each part that has started.
	Boot func(line string)
	// Sockets replaces the listening sockets of listeners by name, for
	// transports that are not TCP.
	Sockets map[string]net.Listener
	// Remoting replaces the port for other nodes, for simulations. No command line
	// reaches such a node.
	Remoting Remoting
	// Plugins are known besides those that ship; a name of these is not to be used.
	// cmd/emqttd passes what is linked in.
	Plugins []*plugins.Plugin
	// FS replaces the file system of the store, for tests that cut its power.
	FS vfs.FS
}

// Node is a running node.
type Node struct {
	config  *config.Config       // of the start: for what does not change while the node runs
	conf    *configuration.Owner // of now
	options Options
	log     *slog.Logger
	system  *actor.ActorSystem
	root    *actor.PID
	remote  port
	started time.Time
	running atomic.Bool

	metrics     *metrics.Registry
	router      *topics.Router
	retained    *retained.Stores
	registry    *registry.Registry
	mesh        mesh
	sessions    *sessions.Runtime
	connections *connections.Runtime
	alarms      *alarm.Board
	operators   *operators.Accounts
	guesses     *access.Backoff // of passwords, over HTTP
	events      events.Hub
	spans       *otel.Exporter // nil: there is no collector
	disk        *store.Disk
	door        door
	far         far
	classes     *classes
	recovery    progress
	listeners   []listed
	plugins     extensions

	stopping sync.Once
	stopErr  error
	done     chan struct{}
	wantStop chan struct{}
}

// listed is a listener as operators see it.
type listed interface {
	Options() listeners.Options
	Addr() string
	Current() int
	Open() bool
	ShutdownCount() map[string]uint64
	Spec() kernel.ChildSpec
	Reserve() error
	Discard()
	Reload() error
	Change(listeners.Options)
}

// Start starts a node and returns when all its listeners are open. If a part
// cannot start, those before it are stopped again and the error says why in one
// line.
func Start(cfg *config.Config, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		config: cfg, options: o, log: o.Logger, started: time.Now(),
		metrics: new(metrics.Registry), done: make(chan struct{}), wantStop: make(chan struct{}, 1),
	}
	if err := n.build(); err != nil {
		return nil, err
	}
	if err := n.launch(); err != nil {
		n.plugins.host.Close()
		n.closeSpans()
		n.remote.Stop()
		n.closeDoor()
		_ = n.disk.Close() // the reason is the error above
		return nil, err
	}
	n.running.Store(true)
	if s := n.disk.State(); s.Refusing {
		n.storeState(s)
	}
	n.log.Info("node started", "node", cfg.Node.Name, "version", o.Version, "dist", n.remote.Address(),
		"go", runtime.Version(), "cpus", runtime.GOMAXPROCS(0))
	if n.door.chain.AllowAnonymous() {
		n.log.Warn("anonymous clients are allowed (mqtt.allow_anonymous = true)")
	}
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Type == config.ListenerAPI && !l.IsLocal() {
			n.log.Warn("passwords of the HTTP API go over the network as they are: put a proxy with TLS before it", "listener", l.Key(), "address", l.Address)
		}
	}
	return n, nil
}

// launch starts the tree.
func (n *Node) launch() error {
	if err := n.reserve(); err != nil {
		return err
	}
	specs, err := n.specs()
	if err != nil {
		n.unreserve()
		return err
	}
	if err = n.openSpans(); err != nil {
		n.unreserve()
		return err
	}
	root, err := kernel.StartRoot(n.system, "node", specs, n.gaveUp)
	if err != nil {
		n.unreserve()
		return err
	}
	n.root = root
	n.boot(specs)
	return nil
}

// reserve binds the addresses of all listeners: none may open before it is known
// that all can.
func (n *Node) reserve() error {
	for _, l := range n.listeners {
		if err := l.Reserve(); err != nil {
			n.unreserve()
			return err
		}
	}
	return nil
}

func (n *Node) unreserve() {
	for _, l := range n.listeners {
		l.Discard()
	}
}

// boot tells what has started, as EMQ's console does.
func (n *Node) boot(specs []kernel.ChildSpec) {
	if n.options.Boot == nil {
		return
	}
	for _, s := range specs {
		n.options.Boot("emqttd " + s.Name + " is starting...[ok]")
	}
	for _, l := range n.listeners {
		o := l.Options()
		n.options.Boot(fmt.Sprintf("%s listen on %s with %d acceptors.", o.Protocol, l.Addr(), o.Acceptors))
	}
}

func (n *Node) gaveUp(err error) {
	n.log.Error("an essential part of the node could not be kept running", "error", err)
	if n.options.OnGiveUp != nil {
		n.options.OnGiveUp(err)
	}
}

// Stop stops the node in the reverse order of its start: listeners first, so
// that nobody comes in while connections end. It returns when everything has
// stopped or ctx is over.
func (n *Node) Stop(ctx context.Context) error {
	n.stopping.Do(func() {
		n.running.Store(false)
		n.connections.ShuttingDown.Store(true)
		n.sessions.Closing.Store(true)
		n.events.Close()
		n.plugins.host.Close()
		n.log.Info("node stops", "node", n.config.Node.Name)
		if err := kernel.StopRoot(ctx, n.system, n.root); err != nil {
			n.stopErr = fmt.Errorf("stop node: %w", err)
		}
		if err := n.mesh.net.Wait(ctx); err != nil && n.stopErr == nil {
			n.stopErr = fmt.Errorf("stop node: %w", err)
		}
		if n.mesh.met != nil {
			n.mesh.met.close()
		}
		n.remote.Stop()
		n.connections.Close()
		n.sessions.Close()
		n.closeSpans()
		n.closeDoor()
		if err := n.disk.Close(); err != nil && n.stopErr == nil {
			n.stopErr = fmt.Errorf("close the store: %w", err)
		}
		close(n.done)
	})
	<-n.done
	return n.stopErr
}

// Done is closed when the node has stopped.
func (n *Node) Done() <-chan struct{} { return n.done }

// StopRequested receives a value when an operator asks the node to stop.
func (n *Node) StopRequested() <-chan struct{} { return n.wantStop }

func (n *Node) requestStop() {
	select {
	case n.wantStop <- struct{}{}:
	default:
	}
}

// Addr is where a listener is bound, "" if there is none of that name.
func (n *Node) Addr(listener string) string {
	for _, l := range n.listeners {
		if l.Options().Name == listener {
			return l.Addr()
		}
	}
	return ""
}

// System is the node's actor system, for those who look at its actors.
func (n *Node) System() *actor.ActorSystem { return n.system }

// Hooks are where plugins take part, for those who look at what they leave.
func (n *Node) Hooks() *hooks.Hooks { return n.sessions.Hooks }

// Metrics are the node's counters and gauges.
func (n *Node) Metrics() *metrics.Registry { return n.metrics }

// Net is the cluster as the node sees it.
func (n *Node) Net() *link.Net { return n.mesh.net }

// DistAddr is where the command line and other nodes are served.
func (n *Node) DistAddr() string { return n.remote.Address() }
