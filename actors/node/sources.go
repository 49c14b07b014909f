package node

import (
	"fmt"
	"sort"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/admin"
	"emqttd/actors/connections"
	"emqttd/actors/sessions"
	"emqttd/actors/system/metrics"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// sources is what the admin actor and the HTTP API may ask of this node.
func (n *Node) sources() *admin.Sources {
	return &admin.Sources{
		Node: n.config.Node.Name, Version: n.options.Version,
		Cluster:        clusterView{n},
		AllowAnonymous: n.door.chain.AllowAnonymous,
		Access:         n.door.chain, CleanACLCache: n.cleanACLCache,
		Running:       n.running.Load,
		Uptime:        func() time.Duration { return time.Since(n.started) },
		Stop:          n.requestStop,
		Drain:         n.drain,
		Undrain:       func() { n.connections.SetDrain(nil) },
		Clients:       n.listClients,
		Client:        n.far.client,
		Kick:          n.kickAnywhere,
		Sessions:      n.listSessions,
		Session:       n.far.session,
		Subscriptions: n.listSubscriptions, SubscriptionsOf: n.far.subscriptions,
		Subscribe: n.subscribe, Unsubscribe: n.unsubscribe,
		Topics: n.listTopics, Routes: n.listRoutes, Route: n.route,
		Stats:     func() []admin.Stat { return stats(n.metrics.Stats()) },
		Metrics:   func() []admin.Stat { return stats(n.metrics.Counters()) },
		Listeners: n.listListeners, StartListener: n.startListener, StopListener: n.stopListener, ReloadListener: n.reloadListener,
		Tree: n.tree, Inspect: n.inspect, Kill: n.kill,
		Publish:       n.publish,
		ExplainClient: n.explainClient, ExplainTopic: n.explainTopic, ExplainMessage: n.explainMessage,
		Trace: &n.sessions.Trace, Path: n.config.Path, LogLevel: n.logLevel, SetLogLevel: n.setLogLevel,
		Recovering: n.recovery.String,
		StoreStats: n.storeStats, StoreCheck: n.storeCheck, StoreBackup: n.storeBackup,
		StoreRestore: n.storeRestore, StoreExport: n.storeExport,
		RetainedTopics: n.retainedTopics, CleanRetained: n.cleanRetained,
		Contents: n.contentsAnywhere, Alarms: n.listAlarms, Settings: n.settings,
		Loads: n.loads, Actors: n.actors,
		Plugins: n.listPlugins, ChangePlugin: n.changePlugin,
		Config:    n.conf,
		Operators: n.operators, Events: &n.events,
		SeekClients: n.seek(clientRows), SeekSessions: n.seek(sessionRows), SeekSubscriptions: n.seek(subscriptionRows),
	}
}

func stats(vs []metrics.Value) []admin.Stat {
	out := make([]admin.Stat, len(vs))
	for i, v := range vs {
		out[i] = admin.Stat{Name: v.Name, Value: int64(v.Value)}
	}
	return out
}

func clientInfo(c *sessions.Client) admin.ClientInfo {
	return admin.ClientInfo{
		ID: c.ClientID, Username: c.Username, IP: c.Peer, Port: int(c.Port), CleanSession: c.Clean,
		ProtoVersion: byte(c.Version), KeepAlive: int(c.KeepAlive), ConnectedAt: time.Unix(int64(c.ConnectedAt), 0),
	}
}

func (n *Node) listClients(cursor string, limit int) (page []admin.ClientInfo, next string) {
	next = n.walk(cursor, limit, false, clientRows, func(r *sessions.InfoResult) int {
		if r.Client == nil {
			return 0
		}
		page = append(page, clientInfo(r.Client))
		return 1
	})
	return page, next
}

func (n *Node) client(id string) (admin.ClientInfo, bool) {
	r := n.session(id, false)
	if r == nil || r.Client == nil {
		return admin.ClientInfo{}, false
	}
	return clientInfo(r.Client), true
}

func (n *Node) kick(id string) bool {
	r := n.session(id, false)
	if r == nil || r.Conn == nil {
		return false
	}
	n.system.Root.Send(r.Conn, &connections.Kick{})
	return true
}

func sessionInfo(r *sessions.InfoResult) admin.SessionInfo {
	d := &r.Delivery
	return admin.SessionInfo{
		ClientID: r.ID, Connected: r.Client != nil, CleanSession: r.Clean, Subscriptions: r.Subscriptions,
		MaxInflight: d.MaxInflight, Inflight: d.Inflight, QueueLen: d.Queued + d.Replaying,
		QueueDropped: d.Dropped, AwaitingRel: d.AwaitingRel,
		Delivered: r.Delivered, Enqueued: r.Enqueued, CreatedAt: time.Unix(r.CreatedAt, 0),
	}
}

func (n *Node) listSessions(f admin.SessionFilter, cursor string, limit int) (page []admin.SessionInfo, next string) {
	next = n.walk(cursor, limit, false, sessionRows, func(r *sessions.InfoResult) int {
		if !f.Match(r.Clean) {
			return 0
		}
		page = append(page, sessionInfo(r))
		return 1
	})
	return page, next
}

func (n *Node) sessionInfo(id string) (admin.SessionInfo, bool) {
	r := n.session(id, false)
	if r == nil {
		return admin.SessionInfo{}, false
	}
	return sessionInfo(r), true
}

func subscriptionInfos(r *sessions.InfoResult) []admin.SubscriptionInfo {
	out := make([]admin.SubscriptionInfo, 0, len(r.Filters))
	for _, f := range r.Filters {
		s, err := topic.ParseSubscription(f.Text)
		if err != nil {
			continue
		}
		out = append(out, admin.SubscriptionInfo{
			ClientID: r.ID, Topic: string(s.Filter), Group: s.Group, QoS: byte(f.Options.QoS),
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Topic < out[j].Topic })
	return out
}

func (n *Node) listSubscriptions(cursor string, limit int) (page []admin.SubscriptionInfo, next string) {
	next = n.walk(cursor, limit, true, subscriptionRows, func(r *sessions.InfoResult) int {
		infos := subscriptionInfos(r)
		page = append(page, infos...)
		return len(infos) // a page may be as long as one session's last
	})
	return page, next
}

func (n *Node) subscriptionsOf(id string) ([]admin.SubscriptionInfo, bool) {
	r := n.session(id, true)
	if r == nil {
		return nil, false
	}
	return subscriptionInfos(r), true
}

func (n *Node) subscribe(id, filter string, qos byte) error {
	return n.changeAnywhere(changeOf{ID: id, Filter: filter, QoS: qos})
}

func (n *Node) unsubscribe(id, filter string) error {
	return n.changeAnywhere(changeOf{ID: id, Filter: filter, Remove: true})
}

func (n *Node) change(id, filter string, qos byte, remove bool) error {
	s, err := topic.ParseSubscription(filter)
	if err != nil {
		return err
	}
	pid := n.where(id)
	if pid == nil {
		return admin.ErrNoSession
	}
	r := ask[sessions.Changed](n, pid, func(to *actor.PID) any {
		return &sessions.Change{Remove: remove, ReplyTo: to, Request: sessions.Request{
			Text: filter, Subscription: s, Options: sessions.Options{QoS: protocol.QoS(qos)},
		}}
	})
	switch {
	case r == nil:
		return admin.ErrNoSession
	case r.Reason.IsError():
		return fmt.Errorf("refused: %s", r.Reason)
	default:
		return nil
	}
}

func (n *Node) listListeners() []admin.ListenerInfo {
	var out []admin.ListenerInfo
	for _, l := range n.listeners {
		o := l.Options()
		info := admin.ListenerInfo{
			Name: o.Name, Protocol: o.Protocol, Listen: l.Addr(), Stopped: !l.Open(), Acceptors: o.Acceptors,
			MaxClients: o.MaxClients, CurrentClients: l.Current(),
		}
		info.ShutdownCount = byName(l.ShutdownCount())
		out = append(out, info)
	}
	for _, l := range n.plugins.listeners() {
		out = append(out, admin.ListenerInfo{
			Name: l.Name, Protocol: l.Protocol, Listen: l.Address, Acceptors: 1,
			MaxClients: l.MaxClients, CurrentClients: l.Current, ShutdownCount: byName(l.Closed),
		})
	}
	return out
}

// byName lists counts by their names.
func byName(counts map[string]uint64) (all admin.Figures) {
	for name, count := range counts {
		all = append(all, admin.Stat{Name: name, Value: int64(count)})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func (n *Node) publish(p admin.PublishRequest) error {
	if len(p.Topic)+len(p.Payload) > n.conf.Running().MQTT.MaxPacketSize {
		return admin.ErrTooLarge
	}
	m := &protocol.Message{
		Topic: topic.Name(p.Topic), Payload: p.Payload, From: p.ClientID,
		Arrived: time.Now().UnixMilli(), QoS: protocol.QoS(p.QoS), Retain: p.Retain,
	}
	if m.QoS == protocol.AtMostOnce {
		n.sessions.PublishOne(m)
		return nil
	}
	if m.Retain && n.retained.Keeps(m) && n.disk.Refusing() {
		return admin.ErrUnsafe
	}
	safe := make(chan error, 1)
	n.sessions.PublishSafe(m, func(err error) { safe <- err })
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case err := <-safe:
		if err != nil {
			return admin.ErrUnsafe
		}
		return nil
	case <-timer.C:
		return admin.ErrUnsafe
	}
}
