package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"emqttd/protocol"
	"emqttd/tests/testkit"
)

// host is a node in a network namespace of its own, as on a machine of its own: its
// address is that of one end of a cable, the other end of which is in a switch.
type host struct {
	*node
	space, cable string
}

// hosts makes a switch and some hosts at it, with the default ports.
func hosts(t *testing.T, count int) (*rig, []*host) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip (iproute2)")
	}
	tag, network := fmt.Sprintf("e%x", os.Getpid()&0xffff), fmt.Sprintf("10.%d.%d.", 64+os.Getpid()>>8&63, os.Getpid()&0xff)
	r := &rig{t: t, name: tag}
	bridge := tag + "s"
	ip(t, "link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", bridge).Run() }) // what is gone is gone
	ip(t, "addr", "add", network+"254/24", "dev", bridge)
	ip(t, "link", "set", bridge, "up")
	var seeds []string
	for i := range count {
		seeds = append(seeds, fmt.Sprintf("%s%d:6369", network, i+1))
	}
	var all []*host
	for i := range count {
		h := &host{space: fmt.Sprintf("%sn%d", tag, i+1), cable: fmt.Sprintf("%sc%d", tag, i+1)}
		address := fmt.Sprintf("%s%d", network, i+1)
		ip(t, "netns", "add", h.space)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", h.space).Run() })
		ip(t, "link", "add", h.cable, "type", "veth", "peer", "name", "eth0", "netns", h.space)
		ip(t, "link", "set", h.cable, "master", bridge, "up")
		ip(t, "-n", h.space, "addr", "add", address+"/24", "dev", "eth0")
		ip(t, "-n", h.space, "link", "set", "eth0", "up")
		ip(t, "-n", h.space, "link", "set", "lo", "up")
		h.node = &node{rig: r, Home: testkit.NewHome(
			t, "node.dist_listen = "+address+":6369", "node.cookie = secret of the tests", "listener.tcp.external = 0.0.0.0:1883",
			"cluster.name = "+tag, "cluster.discovery = static", "cluster.static.seeds = "+strings.Join(seeds, ","), "mqtt.broker.sys_interval = 0",
		)}
		h.MQTT = address + ":1883"
		h.inside = []string{"ip", "netns", "exec", h.space}
		r.nodes = append(r.nodes, h.node)
		all = append(all, h)
	}
	return r, all
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		if len(args) > 2 && args[0] == "link" && args[1] == "add" && os.Getenv("CI") == "" {
			t.Skipf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// TestHostsWhoseCableIsPulled: no packet and no refusal comes from a host whose cable
// is pulled, and its connections are still there when it is back.
func TestHostsWhoseCableIsPulled(t *testing.T) {
	r, all := hosts(t, 3)
	for _, h := range all {
		h.proc = testkit.Launch(t, "ip", "netns", "exec", h.space, testkit.Binary(t, "emqttd"), "-c", h.Conf, "foreground")
	}
	for _, h := range all {
		h.awaitLog("emqttd is running")
	}
	r.awaitMembers(r.nodes...)
	r.reachable(r.nodes)
	f := flow(t, protocol.ExactlyOnce, r.nodes[:2]...)
	ip(t, "link", "set", all[2].cable, "down")
	r.awaitGone(r.nodes[2], r.nodes[:2]...)
	r.awaitMembers(r.nodes[2])
	ip(t, "link", "set", all[2].cable, "up")
	r.awaitMembers(r.nodes...)
	f.check()
	r.reachable(r.nodes)

	one, two := flow(t, protocol.AtLeastOnce, r.nodes[:2]...), flow(t, protocol.ExactlyOnce, r.nodes[:2]...)
	ip(t, "link", "set", all[1].cable, "down") // also for its clients
	pass(t, 3*time.Second)
	ip(t, "link", "set", all[1].cable, "up")
	one.check()
	two.check()
	r.awaitMembers(r.nodes...)
}
