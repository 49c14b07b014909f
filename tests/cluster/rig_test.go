package cluster

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"emqttd/tests/backends/servers"
	"emqttd/tests/cluster/fault"
	"emqttd/tests/testkit"
)

const (
	patience = time.Minute      // for a machine that is busy with something else
	equalIn  = 5 * time.Second  // route tables after the end of a fault
	downIn   = 8 * time.Second  // of silence
	slack    = 10 * time.Second // added to promises, for a busy machine
	// look is the pause between two looks at a node, each of which starts a program.
	look = 200 * time.Millisecond
)

// rig is a cluster.
type rig struct {
	t      *testing.T
	net    *fault.Network
	consul *servers.Server // nil: static seeds
	name   string
	lines  []string // of every node's configuration
	nodes  []*node
}

// node is one of its nodes.
type node struct {
	*testkit.Home
	rig    *rig
	dist   string   // node.dist_listen
	seen   string   // node.dist_advertise: its proxy
	inside []string // what runs a command where the node is, if that is not here
	proc   *testkit.Process
}

// prepare makes the homes of some nodes, which find each other through Consul.
func prepare(t *testing.T, nodes int, lines ...string) *rig {
	t.Helper()
	r := &rig{t: t, net: fault.New(), consul: servers.Consul(t), name: fmt.Sprintf("c%x", rand.Uint64()), lines: lines}
	t.Cleanup(r.net.Close)
	for range nodes {
		r.add()
	}
	return r
}

// boot starts some nodes and waits until all know all.
func boot(t *testing.T, nodes int, lines ...string) *rig {
	t.Helper()
	r := prepare(t, nodes, lines...)
	r.start(r.nodes...)
	r.awaitMembers(r.nodes...)
	return r
}

// add makes the home of one more node.
func (r *rig) add(lines ...string) *node {
	r.t.Helper()
	n := &node{rig: r}
	var err error
	if n.dist, err = fault.FreeAddress(); err != nil {
		r.t.Fatal(err)
	}
	mqtt, err := fault.FreeAddress()
	if err != nil {
		r.t.Fatal(err)
	}
	// The process of the node is known when it runs.
	if n.seen, err = r.net.Add(n.dist, n.dist); err != nil {
		r.t.Fatal(err)
	}
	own := slices.Concat([]string{
		"node.dist_listen = " + n.dist, "node.dist_advertise = " + n.seen, "node.cookie = secret of the tests",
		"listener.tcp.external = " + mqtt,
		"cluster.name = " + r.name, "cluster.discovery = consul", "cluster.consul.address = " + r.consul.Addr,
		"cluster.consul.ttl = 2s", "cluster.consul.timeout = 1s", "mqtt.broker.sys_interval = 0",
	}, r.lines, lines)
	n.Home = testkit.NewHome(r.t, own...)
	n.MQTT = mqtt
	r.nodes = append(r.nodes, n)
	return n
}

// start starts nodes and waits until they serve clients.
func (r *rig) start(nodes ...*node) {
	r.t.Helper()
	for _, n := range nodes {
		n.launch()
	}
	for _, n := range nodes {
		n.awaitLog("emqttd is running")
	}
}

// launch starts the process and lets others reach it.
func (n *node) launch() {
	n.rig.t.Helper()
	n.proc = testkit.Launch(n.rig.t, testkit.Binary(n.rig.t, "emqttd"), "-c", n.Conf, "foreground")
	if err := n.rig.net.Up(n.dist, n.proc.Pid()); err != nil {
		n.rig.t.Fatal(err)
	}
}

// awaitLog waits until the node has said something since it was launched.
func (n *node) awaitLog(text string) {
	n.rig.t.Helper()
	n.rig.eventually(n.NodeName()+" says "+text, func() bool { return strings.Contains(n.proc.Log(), text) })
}

// kill ends the process as a crash does; its host refuses connections from then on.
func (n *node) kill() {
	n.proc.Kill()
	n.rig.net.Down(n.dist)
}

// again starts a node that was killed.
func (n *node) again() {
	n.rig.t.Helper()
	n.rig.start(n)
}

// pause holds the process where it is, and resume lets it go on.
func (n *node) pause()  { n.proc.Signal(syscall.SIGSTOP) }
func (n *node) resume() { n.proc.Signal(syscall.SIGCONT) }

// ctl runs a command on the node and returns what it prints.
func (n *node) ctl(args ...string) string {
	n.rig.t.Helper()
	all := append(slices.Clone(n.inside), append([]string{testkit.Binary(n.rig.t, "emqttd_ctl"), "-c", n.Conf}, args...)...)
	return testkit.Run(n.rig.t, all[0], all[1:]...).Stdout
}

// cut changes both directions between two nodes.
func (r *rig) cut(a, b *node) { r.net.Between(a.dist, b.dist, fault.Fault{Cut: true}) }

// split cuts the nodes into islands.
func (r *rig) split(islands ...[]*node) {
	names := make([][]string, len(islands))
	for i, island := range islands {
		for _, n := range island {
			names[i] = append(names[i], n.dist)
		}
	}
	r.net.Split(names...)
}

// eventually looks until it is so.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	r.within(patience, what, is)
}

// within looks until it is so, for no longer than d.
func (r *rig) within(d time.Duration, what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(d); !is(); pass(r.t, look) {
		if time.Now().After(end) {
			r.t.Fatalf("it does not happen in %v: %s", d, what)
		}
	}
}

// pass lets time pass in which other processes do nothing but wait.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test is over")
	}
}

var running = regexp.MustCompile(`\{running_nodes,\[([^]]*)\]`)

// members are the names of those who run, as the node sees it.
func (n *node) members() []string {
	n.rig.t.Helper()
	m := running.FindStringSubmatch(n.ctl("cluster", "status"))
	if m == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(m[1], "'", ""), ",")
}

var up = regexp.MustCompile(`(?m)^Member\((\S+), .*state=up\)$`)

// certain are the names of those who run and are not suspect.
func (n *node) certain() (names []string) {
	n.rig.t.Helper()
	for _, m := range up.FindAllStringSubmatch(n.ctl("cluster", "members"), -1) {
		names = append(names, m[1])
	}
	return names
}

// awaitMembers waits until each of the nodes sees all of them, none of which is suspect,
// and nobody else. Suspects are not waited for by a SUBACK.
func (r *rig) awaitMembers(nodes ...*node) {
	r.t.Helper()
	var want []string
	for _, n := range nodes {
		want = append(want, n.NodeName())
	}
	slices.Sort(want)
	for _, n := range nodes {
		r.eventually(fmt.Sprintf("%s sees no more and no less than %v", n.NodeName(), want), func() bool {
			return slices.Equal(n.members(), want) && slices.Equal(n.certain(), want)
		})
	}
}

// awaitGone waits until some nodes do not see another one any more.
func (r *rig) awaitGone(gone *node, nodes ...*node) {
	r.t.Helper()
	for _, n := range nodes {
		r.eventually(n.NodeName()+" sees that "+gone.NodeName()+" is gone", func() bool { return !slices.Contains(n.members(), gone.NodeName()) })
	}
}
