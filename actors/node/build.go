package node

import (
	"fmt"
	"os"
	"strings"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/connections"
	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/retained"
	"emqttd/actors/sessions"
	"emqttd/actors/store"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/broker"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/memory"
	"emqttd/actors/system/metrics"
	"emqttd/actors/topics"
	"emqttd/cluster/registry"
	"emqttd/cluster/wire"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/topic"
)

// build makes every part, leaving the actors unstarted. The door opens here,
// because it decides the address that every PID carries.
func (n *Node) build() error {
	n.system = kernel.NewSystem(n.log, kernel.WithConfig(wire.QuietFramework(n.log)), kernel.WithDeadLetters(n.unread))
	n.alarms = alarm.NewBoard(n.log, func(name, payload string) {
		n.say("$SYS/brokers/"+n.config.Node.Name+"/alarms/"+name, payload, false)
	})
	n.alarms.OnChange = n.tellAlarm
	n.classes = newClasses(n.config)
	err := n.openConfiguration()
	if err != nil {
		return err
	}
	if err = n.openStore(); err != nil {
		return err
	}
	if err = n.buildParts(); err != nil {
		_ = n.disk.Close() // the reason is the error above
	}
	return err
}

// buildParts makes what stands above the store.
func (n *Node) buildParts() error {
	if err := n.openRemote(); err != nil {
		return err
	}
	if err := n.buildTables(); err != nil {
		n.remote.Stop()
		return err
	}
	n.buildSessions()
	if err := n.buildConnections(); err != nil {
		n.remote.Stop()
		return err
	}
	if err := n.buildListeners(); err != nil {
		n.remote.Stop()
		return err
	}
	n.gauges()
	n.buildPlugins()
	n.conf.SetParts(n.parts())
	return nil
}

// advertise is the configured address, unless it only repeats one whose port
// the system is to choose.
func (n *Node) advertise() string {
	if a := n.config.Node.DistAdvertise; !strings.HasSuffix(a, ":0") {
		return a
	}
	return ""
}

func (n *Node) buildTables() error {
	c := n.config
	strategy, err := topics.ParseStrategy(c.MQTT.SharedStrategy)
	if err != nil {
		return err
	}
	n.router = topics.New(n.system, topics.Options{
		Shards: c.MQTT.TopicShards, Strategy: strategy,
		OnDrop: n.dropped("mailbox_full"), OnGone: n.dropped(delivery.SessionEnded.String()), Ledger: &n.metrics.Ledger,
		Begin: n.disk.Begin, Awaits: n.classes.message, Refusing: n.disk.Refusing,
	})
	var disk *store.Disk
	if c.Retainer.StorageType != "ram" {
		disk = n.disk
	}
	n.retained = retained.New(n.system, retained.Options{
		Disk: disk, Keeps: n.classes.message,
		Shards: c.MQTT.TopicShards, MaxMessages: c.Retainer.MaxMessages,
		MaxPayload: c.Retainer.MaxPayload, Expiry: c.Retainer.Expiry, Logger: n.log,
		Node: c.Node.Name, Clock: n.mesh.net.Clock(), Tombstones: tombstones,
	})
	n.registry = registry.New(n.system, "node/cluster", n.mesh.net)
	n.buildServices()
	return nil
}

// tombstones is how long a node may be away and not bring back retained messages
// that were removed meanwhile.
const tombstones = 24 * time.Hour

func (n *Node) buildSessions() {
	c := n.config
	n.sessions = &sessions.Runtime{
		System: n.system, Router: n.router, Retained: n.retained, Registry: n.registry,
		Metrics: n.metrics, Disk: n.disk, Durable: n.classes.session, Log: n.log, Limits: sessionLimits(c),
		MaxSubscriptions: c.MQTT.Session.MaxSubscriptions, Hooks: new(hooks.Hooks),
	}
	n.sessions.Alarm = n.alarms.Take
}

func (n *Node) buildConnections() error {
	if err := n.buildAccess(); err != nil {
		return err
	}
	if err := n.buildOperators(); err != nil {
		return err
	}
	n.connections = &connections.Runtime{
		System: n.system, Sessions: n.sessions,
		SessionShards: kernel.NewShards("sessions", sessions.Shards),
		Shards:        kernel.NewShards("connections", connections.Shards),
		Access:        n.door.chain,
		Metrics:       n.metrics, Log: n.log,
		Memory: n.governor(),
		Epoll:  n.config.Node.Reader == "epoll" || n.config.Node.Reader == "auto" && connections.HasEpoll,
	}
	n.connections.Set(connectionSettings(n.config))
	n.sessions.Join(n.mesh.net, n.connections.SessionShards)
	n.sessions.Behind = n.mesh.routes.Behind
	n.connections.Presence.SetTap(tap{&n.events})
	n.sessions.OnFilter = n.tellFilter
	return nil
}

// scramUsers reads the file of auth.scram.file, nil if there is none.
func (n *Node) scramUsers() (*access.Scram, error) {
	name := n.config.Auth.ScramFile
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(n.config.Path(name))
	if err != nil {
		return nil, fmt.Errorf("auth.scram.file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	users, err := access.ReadScram(f)
	if err != nil {
		return nil, fmt.Errorf("auth.scram.file %s: %w", name, err)
	}
	return users, nil
}

// gauges connects those figures that somebody else keeps.
func (n *Node) gauges() {
	m := n.metrics
	m.Source(metrics.Topics, func() int { return n.router.Counts().Topics })
	m.Source(metrics.Routes, func() int { return n.router.Counts().Topics })
	m.Source(metrics.Subscribers, func() int { return n.router.Counts().Subscriptions })
	m.Source(metrics.Subscriptions, func() int { return n.router.Counts().Subscriptions })
	m.Source(metrics.Retained, n.retained.Count)
}

// dropped counts messages that a subscriber does not get, and remembers the first
// of them.
func (n *Node) dropped(reason string) func(*topics.Subscriber, []topics.Delivery) {
	return func(to *topics.Subscriber, items []topics.Delivery) {
		reason := reason
		if to.Peer() {
			if reason = "peer_slow"; to.Closed() {
				reason = "peer_down"
			}
		}
		n.metrics.Drop(reason, uint64(len(items)))
		n.tellDrop(to, items, reason)
		m := items[0].Message
		n.metrics.Recent.Note(ledger.Drop{
			At: time.Now().UnixMilli(), Reason: reason, ClientID: to.ClientID(), Topic: string(m.Topic), From: m.From,
		})
	}
}

// specs lists the children of the root in the order of their start.
func (n *Node) specs() ([]kernel.ChildSpec, error) {
	var ls []kernel.ChildSpec
	for _, l := range n.listeners {
		ls = append(ls, l.Spec())
	}
	members, err := n.clusterSpec()
	if err != nil {
		return nil, err
	}
	return []kernel.ChildSpec{
		{Name: "system", Props: kernel.Supervisor([]kernel.ChildSpec{broker.Spec(n.brokerOptions()), memory.Spec(n.options.FixedGC, n.connections.Memory)})},
		n.disk.Spec(),
		n.retained.Spec(),
		n.router.Spec(),
		members,
		n.connections.SessionShards.Spec(),
		n.connections.Shards.Spec(),
		n.plugins.host.Spec(),
		n.conf.Spec(n.system),
		{Name: "admin", Props: admin.Props(admin.Options{Sources: n.sources(), Registry: n.plugins.registry, Logger: n.log, Relay: n.relayCommand, Nodes: n.nodeNames})},
		n.recoverySpec(),
		{Name: "listeners", Props: kernel.Supervisor(ls)},
	}, nil
}

func (n *Node) brokerOptions() broker.Options {
	return broker.Options{
		Node: n.config.Node.Name, Version: n.options.Version, Started: n.started,
		Interval: n.conf.Running().MQTT.SysInterval, Metrics: n.metrics,
		Publish: n.say,
	}
}

// say publishes a $SYS message. One whose name has a wildcard, because a client
// identifier in it has, cannot be.
func (n *Node) say(name, payload string, retain bool) {
	if topic.CheckName(topic.Name(name)) != nil {
		return
	}
	n.sessions.PublishOne(&protocol.Message{
		Topic: topic.Name(name), Payload: []byte(payload), Retain: retain, Sys: true,
		Arrived: time.Now().UnixMilli(),
	})
}
