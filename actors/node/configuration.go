package node

import (
	"path/filepath"

	"emqttd/actors/configuration"
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

// parts are those of the node that take other settings while it runs, each with its
// keys. TestEveryLiveKeyIsOfAPart holds them against the registry of keys.
func (n *Node) parts() []configuration.Part {
	return []configuration.Part{
		{Name: "log", Keys: []string{"log.console.level"}, Prepare: n.changeLog},
		{Name: "broker", Keys: []string{"mqtt.broker.sys_interval"}, Prepare: n.changeBroker},
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
