package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/admin"
	"emqttd/actors/kernel"
	"emqttd/cluster"
	"emqttd/cluster/consul"
	"emqttd/cluster/link"
	"emqttd/cluster/relay"
	"emqttd/cluster/replicas"
	"emqttd/cluster/routes"
	"emqttd/cluster/wire"
	"emqttd/config"
)

// mesh is a node's place in the cluster.
type mesh struct {
	net      *link.Net
	routes   *routes.Routes
	retained *replicas.Table
	relay    *relay.Relay
	met      *acquaintances // nil: discovery finds the others

	open  atomic.Bool // the node has recovered: others may come in, and are looked for
	mu    sync.Mutex
	found []cluster.Candidate // before it was open
}

// openRemote opens the door for other nodes and the command line. PIDs carry its
// address, so it comes before all actors; those of other nodes are resolved before
// the framework sees them.
func (n *Node) openRemote() (err error) {
	c := n.config
	between, own, err := wire.LoadTLS(c)
	if err != nil {
		return err
	}
	o := link.Options{
		Self:    cluster.Member{Name: c.Node.Name, Version: n.options.Version},
		Cluster: c.Cluster.Name, Cookie: c.Node.Cookie, Logger: n.log,
		Transport: n.transport(between),
	}
	if c.Cluster.Discovery == config.Manual {
		n.mesh.met = newAcquaintances(filepath.Join(c.Path(c.Node.DataDir), acquaintancesFile), n.log)
		o.OnKnown = n.mesh.met.note
	}
	n.mesh.net = link.New(n.system, o)
	cluster.Post(n.system, n.mesh.net, "node/cluster/registry/", "node/sessions/", "node/connections/", admin.ID)
	if r := n.options.Remoting; r != nil {
		n.system.ProcessRegistry.Address = r.Open(n.admit)
		n.remote = r
		return nil
	}
	n.remote, err = wire.Start(n.system, wire.Options{
		Listen: c.Node.DistListen, Advertise: n.advertise(), Cookie: c.Node.Cookie,
		Targets: []string{admin.ID}, TLS: own, Accept: n.admit, Logger: n.log,
	})
	if err != nil {
		return fmt.Errorf("node.dist_listen %s: %w", c.Node.DistListen, err)
	}
	return nil
}

// Remoting is a way between nodes that is not TCP.
type Remoting interface {
	link.Transport
	port
	// Open lets streams of others in, and returns the address of this node.
	Open(accept func(wire.Stream)) (address string)
}

// port is where other nodes reach this one.
type port interface {
	Address() string
	Stop()
}

func (n *Node) transport(between *tls.Config) link.Transport {
	if n.options.Remoting != nil {
		return n.options.Remoting
	}
	return &wire.Dialer{Cookie: n.config.Node.Cookie, TLS: between}
}

// admit lets another node in, when this one has something to say.
func (n *Node) admit(s wire.Stream) {
	if !n.mesh.open.Load() {
		link.TurnAway(s)
		return
	}
	n.mesh.net.Accept(s)
}

// buildServices makes what tells the other nodes of what is here.
func (n *Node) buildServices() {
	m := &n.mesh
	m.routes = routes.New(n.system, n.router, m.net, routes.Options{Metrics: n.metrics, Logger: n.log})
	m.retained = replicas.New(m.net, n.retained, replicas.Options{Kind: wire.KindRetained, Log: n.log})
	n.retained.Replicate(m.retained)
	n.buildRelay()
}

// clusterSpec is the subtree "cluster". The members come behind what other nodes
// may write to.
func (n *Node) clusterSpec() (kernel.ChildSpec, error) {
	links := n.mesh.net.Specs()
	children := []kernel.ChildSpec{links[0], n.mesh.routes.Spec(), n.registry.Spec(), links[1]}
	if n.config.Cluster.Discovery == config.Consul {
		spec, err := n.consulSpec()
		if err != nil {
			return kernel.ChildSpec{}, err
		}
		children = append(children, spec)
	}
	return kernel.ChildSpec{Name: "cluster", Props: kernel.Supervisor(children)}, nil
}

func (n *Node) consulSpec() (kernel.ChildSpec, error) {
	c := &n.config.Cluster.Consul
	o := consul.Options{
		Self: n.mesh.net.Self(), Cluster: n.config.Cluster.Name,
		Address: c.Address, Token: string(c.Token), Datacenter: c.Datacenter, Service: c.Service,
		TTL: c.TTL, Timeout: c.Timeout, ForgetAfter: n.config.Cluster.Autoclean,
		Health: n.health, Discovered: n.discovered, Alarm: n.alarms.Take, Logger: n.log,
	}
	o.Self.Address = n.remote.Address()
	var err error
	if c.SSL {
		if o.TLS, err = consulTLS(n.config); err != nil {
			return kernel.ChildSpec{}, err
		}
	}
	return consul.Spec(o)
}

func consulTLS(c *config.Config) (*tls.Config, error) {
	t := &c.Cluster.Consul.TLS
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.NoVerify}
	if t.CACertFile != "" {
		pem, err := os.ReadFile(c.Path(t.CACertFile))
		if err != nil {
			return nil, fmt.Errorf("cluster.consul.tls.cacertfile: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cluster.consul.tls.cacertfile %s has no certificate", t.CACertFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.Path(t.CertFile), c.Path(t.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("cluster.consul.tls.certfile: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// health is what Consul's check of this node says.
func (n *Node) health() consul.Health {
	h := consul.Health{Summary: fmt.Sprintf("%d nodes, %d sessions", len(n.mesh.net.View().Members), n.registry.Len())}
	switch {
	case n.recovery.String() != "":
		h.Problem = "recovering " + n.recovery.String()
	case n.disk.Refusing():
		h.Problem = n.disk.State().Text
	case n.connections.Draining():
		h.Problem = "it is being drained"
	}
	return h
}

// discovered takes the nodes that discovery has found.
func (n *Node) discovered(list []cluster.Candidate) {
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	n.mesh.found = list
	if n.mesh.open.Load() {
		n.mesh.net.Discovered(list)
	}
}

// meetTime is how long a node that knows of others waits for them before its
// listeners open: a client that comes back is to find its session on whichever node.
const meetTime = 3 * time.Second

// meet lets other nodes in, and returns when this one is linked with those that
// discovery has found, or that it had met before its last stop, or they did not answer
// in time.
func (n *Node) meet() {
	if n.config.Cluster.Discovery == config.Static {
		seeds := make([]cluster.Candidate, len(n.config.Cluster.Seeds))
		for i, at := range n.config.Cluster.Seeds {
			seeds[i].Address = at
		}
		n.discovered(seeds)
	}
	n.mesh.mu.Lock()
	n.mesh.open.Store(true)
	found := n.mesh.found
	if len(found) > 0 {
		n.mesh.net.Discovered(found)
	}
	n.mesh.mu.Unlock()
	if n.mesh.met != nil {
		found = n.mesh.met.load()
		n.mesh.net.Remembered(found)
	}
	n.await(found, meetTime)
}

// await waits until all candidates but this node are members, and tells whether
// they are.
func (n *Node) await(found []cluster.Candidate, limit time.Duration) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		missing := 0
		for _, c := range found {
			if c.Address != n.remote.Address() && !n.memberAt(c.Address) {
				missing++
			}
		}
		if missing == 0 {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (n *Node) memberAt(address string) bool {
	for _, m := range n.mesh.net.View().Members {
		if m.Address == address {
			return true
		}
	}
	return false
}
