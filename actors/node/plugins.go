package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/web"
	"emqttd/actors/plugins"
	"emqttd/actors/plugins/delayed"
	"emqttd/actors/plugins/flapping"
	"emqttd/actors/plugins/rewrite"
	"emqttd/actors/plugins/slowsubs"
	"emqttd/actors/plugins/subscription"
	"emqttd/actors/plugins/topicmetrics"
	"emqttd/actors/plugins/wasm"
	"emqttd/actors/plugins/webhook"
	"emqttd/actors/system/presence"
	"emqttd/config"
	"emqttd/protocol"
)

// extensions are the plugins with what they add to a node.
type extensions struct {
	host     *plugins.Host
	shipped  []string // names that no module can have
	registry *admin.Registry
	routes   web.Routes

	mu       sync.Mutex
	commands []string // names that are taken: those of the broker and of plugins
	// listening are the listeners of plugins.
	listening []*func() plugins.Listening
}

// The names of two plugins which only switch something.
const (
	presencePlugin = "emq_mod_presence"
	retainerPlugin = "emq_retainer"
)

func (n *Node) buildPlugins() {
	x := &n.plugins
	x.registry = admin.NewRegistry()
	x.commands = x.registry.Names()
	known := []*plugins.Plugin{
		n.presence(), n.retainer(), delayed.Plugin(), flapping.Plugin(), rewrite.Plugin(),
		slowsubs.Plugin(), subscription.Plugin(), topicmetrics.Plugin(), webhook.Plugin(),
	}
	known = append(known, n.options.Plugins...)
	for _, p := range known {
		x.shipped = append(x.shipped, p.Name)
	}
	x.host = plugins.New(&plugins.Ground{
		System: n.system, Node: n.config.Node.Name, Hooks: n.sessions.Hooks, Log: n.log, Alarm: n.alarms.Take,
		Settings: n.pluginSettings,
		Publish:  n.sessions.PublishOne,
		Subscribe: func(client, filter string, qos protocol.QoS) error {
			return n.subscribe(client, filter, byte(qos))
		},
		Unsubscribe: n.unsubscribe,
		Ban: func(client protocol.ClientID, reason string, span time.Duration) error {
			return n.door.chain.Bans().Add(access.Ban{
				Kind: access.BanClient, Who: client, Reason: reason, By: "plugin", Until: time.Now().Add(span),
			})
		},
		Command: n.addCommand, Route: x.routes.Add, Handshake: n.connections.Handshake,
		Listener: x.addListener, Path: n.config.Path,
		Access: func(m access.Module, panicked func(any)) (*access.Added, error) {
			return n.door.chain.Add(m, access.GuardOptions{OnPanic: panicked, Workers: moduleWorkers, Queue: moduleQueue})
		},
		File: n.config.Path(n.config.MQTT.PluginsLoaded),
	}, "node", known)
}

// Calls of a plugin's access module at one time, and how many more may wait: as the
// defaults of back ends, so that a thousand clients that come at once are not refused.
const (
	moduleWorkers = 8
	moduleQueue   = 10_000
)

// presence tells who comes and goes.
func (n *Node) presence() *plugins.Plugin {
	return toggle(presencePlugin, "Presence of clients", func(on bool) {
		var p *presence.Publisher
		if on {
			p = presence.New(presence.Options{
				Node: n.config.Node.Name, QoS: protocol.QoS(n.config.Module.PresenceQoS), Publish: n.sessions.PublishOne,
			})
		}
		n.connections.Presence.Set(p)
	})
}

// retainer keeps retained messages.
func (n *Node) retainer() *plugins.Plugin {
	return toggle(retainerPlugin, "EMQ Retainer", n.retained.Switch)
}

// toggle is a plugin that switches a part of the broker. Its settings are those of
// the configuration.
func toggle(name, description string, set func(on bool)) *plugins.Plugin {
	return &plugins.Plugin{Name: name, Version: "1.0", Description: description, Start: func(e *plugins.Env) error {
		set(true)
		e.OnStop(func() { set(false) })
		return nil
	}}
}

// loadPlugins starts what was loaded when the node ran last. Without a list of those
// it is what a node without plugins would do, too.
func (n *Node) loadPlugins() {
	n.findModules()
	n.retained.Switch(false)
	var otherwise []string
	if n.config.Module.Presence {
		otherwise = append(otherwise, presencePlugin)
	}
	n.plugins.host.LoadSaved(append(otherwise, retainerPlugin))
}

// pluginFile is the file of a plugin; ok is false for what cannot be a name.
func (n *Node) pluginFile(name string) (file string, ok bool) {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, `/\`) || !filepath.IsLocal(name) {
		return "", false
	}
	return filepath.Join(n.config.Path(n.config.MQTT.PluginsDir), name+".conf"), true
}

// pluginSettings reads a plugin's own file; those without one have none.
func (n *Node) pluginSettings(name string) (plugins.Settings, error) {
	file, ok := n.pluginFile(name)
	if !ok || name == presencePlugin || name == retainerPlugin {
		return plugins.Settings{}, nil
	}
	s, err := config.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return plugins.Settings{}, nil
	}
	return s, err
}

// findModules makes the modules known that have a file. One whose file is wrong is
// known when it is put right.
func (n *Node) findModules() {
	entries, err := os.ReadDir(n.config.Path(n.config.MQTT.PluginsDir))
	if err != nil {
		return // there is no such folder
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".conf"); ok {
			if err := n.findModule(name); err != nil {
				n.log.Warn("the file of a plugin cannot be read", "plugin", name, "error", err)
			}
		}
	}
}

// findModule makes a module known, with what its file says now.
func (n *Node) findModule(name string) error {
	file, ok := n.pluginFile(name)
	if !ok || slices.Contains(n.plugins.shipped, name) {
		return nil
	}
	s, err := config.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || s[wasm.FileKey] == "" {
		return err
	}
	if err := n.plugins.host.Add(wasm.New(name, s, n.config.Path)); !errors.Is(err, plugins.ErrAlreadyStarted) {
		return err
	}
	return nil
}

func (n *Node) listPlugins() []admin.PluginInfo {
	n.findModules()
	rows := []admin.PluginInfo{}
	for _, p := range n.plugins.host.List() {
		rows = append(rows, admin.PluginInfo{Name: p.Name, Version: p.Version, Description: p.Description, Active: p.Active})
	}
	return rows
}

func (n *Node) changePlugin(verb, name string) error {
	h := n.plugins.host
	do := map[string]func(string) error{"load": h.Load, "unload": h.Unload, "reload": h.Reload}[verb]
	if do == nil {
		return fmt.Errorf("%s: expected load, unload or reload", verb)
	}
	if err := n.findModule(name); err != nil {
		return err
	}
	switch err := do(name); {
	case errors.Is(err, plugins.ErrAlreadyStarted):
		return admin.ErrPluginLoaded
	case errors.Is(err, plugins.ErrNotStarted):
		return admin.ErrPluginNotStarted
	default:
		return err
	}
}

// addCommand adds a command of a plugin to emqttd_ctl. A name that is taken is an
// error: EMQ would let the last one win.
func (n *Node) addCommand(c plugins.Command) (remove func(), err error) {
	x := &n.plugins
	x.mu.Lock()
	defer x.mu.Unlock()
	if slices.Contains(x.commands, c.Name) {
		return nil, fmt.Errorf("there is a command %s already", c.Name)
	}
	x.commands = append(x.commands, c.Name)
	h := &admin.Handler{Name: c.Name, Run: func(r *admin.Request) admin.Result {
		text, code := c.Run(r.Args)
		if code == plugins.WrongArguments && text == "" {
			return r.WrongArguments()
		}
		return admin.Result{Text: text, ExitCode: code}
	}}
	for _, u := range c.Usage {
		h.Usage = append(h.Usage, admin.Usage{Line: u[0], Text: u[1]})
	}
	to := n.system.NewLocalPID("node/admin")
	n.system.Root.Send(to, &admin.Register{Handler: h})
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.commands = slices.DeleteFunc(x.commands, func(name string) bool { return name == c.Name })
		n.system.Root.Send(to, &admin.Unregister{Name: c.Name})
	}, nil
}

func (x *extensions) addListener(f func() plugins.Listening) (remove func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	this := &f
	x.listening = append(x.listening, this)
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.listening = slices.DeleteFunc(x.listening, func(other *func() plugins.Listening) bool { return other == this })
	}
}

// listeners are those of plugins.
func (x *extensions) listeners() (all []plugins.Listening) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.listening {
		all = append(all, (*f)())
	}
	return all
}
