package node

import (
	"errors"
	"path/filepath"

	"emqttd/actors/configuration"
	"emqttd/actors/listeners"
	"emqttd/actors/retained"
	"emqttd/actors/system/alarm"
	"emqttd/actors/system/broker"
	"emqttd/actors/system/logging"
	"emqttd/config"
)

// historyDir holds what configurations there were, below node.data_dir.
const historyDir = "conf_history"

// openConfiguration makes what owns the configuration.
func (n *Node) openConfiguration() (err error) {
	o := configuration.Options{Loaded: n.options.Conf, Log: n.log, Refused: n.confRefused}
	if o.Loaded == nil {
		o.Loaded = config.Plain(n.config)
	} else {
		o.Dir = filepath.Join(n.config.Path(n.config.Node.DataDir), historyDir)
	}
	n.conf, err = configuration.New(o)
	return err
}

// Reload reads the configuration again, as emqttd_ctl conf reload does; the log says what
// became of it. It blocks until then.
func (n *Node) Reload(by string) {
	_, err := n.conf.Do(configuration.Request{Verb: configuration.Reload, By: by})
	// The owner logs what it accepts and refuses, but not that it cannot be asked.
	if errors.Is(err, configuration.ErrBusy) || errors.Is(err, configuration.ErrNow) {
		n.log.Warn("the configuration is not read again", "by", by, "error", err)
	}
}

// parts are those of the node that take other settings while it runs, each with its
// keys. TestEveryLiveKeyIsOfAPart holds them against the registry of keys.
func (n *Node) parts() []configuration.Part {
	return []configuration.Part{
		{Name: "log", Keys: []string{"log.console.level"}, Prepare: n.changeLog},
		{Name: "broker", Keys: []string{"mqtt.broker.sys_interval"}, Prepare: n.changeBroker},
		{Name: "access", Keys: []string{"mqtt.allow_anonymous", "mqtt.acl_nomatch", "acl.", "mqtt.cache_acl", "mqtt.acl_cache_max_size", "mqtt.acl_cache_ttl"}, Prepare: n.changeAccess},
		{Name: "back-off", Keys: []string{"access.backoff."}, Prepare: n.changeBackoff},
		{Name: "connections", Keys: []string{
			"mqtt.max_", "mqtt.keepalive_backoff", "mqtt.client.", "mqtt.session.expiry_interval", "mqtt.session.max_awaiting_rel", "mqtt.acl_deny_action",
			"mqtt.server_keepalive", "mqtt.retain_available", "mqtt.wildcard_subscription", "mqtt.shared_subscription",
			"mqtt.subscription_identifier", "mqtt.check_payload_format",
		}, Prepare: n.changeConnections},
		{Name: "sessions", Keys: []string{"mqtt.session.", "mqtt.mqueue."}, Prepare: n.changeSessions},
		{Name: "listeners", Keys: []string{"listener.", "mqtt.websocket_protocol_header", "mqtt.max_packet_size"}, Prepare: n.changeListenerTerms},
		{Name: "retained messages", Keys: []string{"retainer."}, Prepare: n.changeRetained},
	}
}

// commit is for what cannot fail.
func commit(f func()) (configuration.Ready, error) { return configuration.Ready{Commit: f}, nil }

func (n *Node) changeLog(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() {
		if err := logging.SetLevel(n.log, to.Log.Level); err != nil {
			n.log.Warn("the log is not one of ours", "error", err)
		}
	})
}

func (n *Node) changeBroker(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() {
		n.system.Root.Send(n.system.NewLocalPID("node/system/broker"), &broker.SetInterval{Interval: to.MQTT.SysInterval})
	})
}

func (n *Node) changeAccess(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() { n.door.chain.Set(accessSettings(to)) })
}

func (n *Node) changeBackoff(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() { n.door.chain.Backoff().SetOptions(backoffOptions(to)) })
}

func (n *Node) changeConnections(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() { n.connections.Set(connectionSettings(to)) })
}

func (n *Node) changeSessions(_, to *config.Config) (configuration.Ready, error) {
	return commit(func() { n.sessions.SetLimits(sessionLimits(to), to.MQTT.Session.MaxSubscriptions) })
}

// changeListenerTerms gives listeners that are there other options. Which there are,
// and where, is settled by the start.
func (n *Node) changeListenerTerms(_, to *config.Config) (configuration.Ready, error) {
	options := map[string]listeners.Options{}
	for i := range to.Listeners {
		o, err := n.listenerOptions(to, &to.Listeners[i])
		if err != nil {
			return configuration.Ready{}, err
		}
		options[o.Name] = o
	}
	return commit(func() {
		for _, l := range n.listeners {
			if o, ok := options[l.Options().Name]; ok {
				l.Change(o)
			}
		}
	})
}

func (n *Node) changeRetained(_, to *config.Config) (configuration.Ready, error) {
	r := &to.Retainer
	return commit(func() {
		n.retained.SetLimits(retained.Limits{MaxMessages: r.MaxMessages, MaxPayload: r.MaxPayload, Expiry: r.Expiry})
	})
}

// confRefused raises the alarm that the files are not what runs, or clears it.
func (n *Node) confRefused(err error) {
	a := alarm.Alarm{ID: "conf_refused", Severity: "error", Title: "The configuration files have a mistake: the configuration before stays", Cleared: err == nil}
	if err != nil {
		a.Summary = err.Error()
	}
	n.alarms.Take(a)
}
