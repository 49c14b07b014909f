// Package plugins loads and unloads what extends the broker at run time. A plugin
// is a supervised subtree, plugins/<name>, with what it has registered: hooks,
// commands and HTTP routes. Unloading takes all of it back.
//
// A plugin that panics, in a hook or in an actor of its own, is ended and started
// again; one that does so again and again, or whose hooks block, is unloaded with
// an alarm. The broker goes on as if it had not been there.
//
// The supervisor of the tree is a child of the root; Host is the door to it, for
// any goroutine. Instances take no messages but those of their own parts.
package plugins

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/access"
	"emqttd/actors/connections"
	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/system/alarm"
	"emqttd/protocol"
)

// Plugin is something that can be loaded by its name.
type Plugin struct {
	Name        string // also of its file, etc/plugins/<name>.conf
	Version     string
	Description string
	// Start makes it run and registers what it does with env; it is called on the
	// goroutine of the plugin's actor and must not block for long. What it has
	// registered when it returns an error, or panics, is taken back.
	Start func(env *Env) error
}

// Settings are those of etc/plugins/<name>.conf, by key.
type Settings map[string]string

// Command is a command of emqttd_ctl.
type Command struct {
	Name  string
	Usage [][2]string // line and what it does
	// Run gets the arguments behind the name and returns what to print and the exit
	// code. It runs on a goroutine of its own.
	Run func(args []string) (text string, code int)
}

// Ground is what a node offers to plugins. All functions may be called from any
// goroutine.
type Ground struct {
	System *actor.ActorSystem
	Node   string // its name
	Hooks  *hooks.Hooks
	Log    *slog.Logger
	Alarm  func(alarm.Alarm)
	// Settings reads the file of a plugin anew. A file that does not exist has none.
	Settings func(plugin string) (Settings, error)
	// Publish publishes a message as the broker does, without waiting.
	Publish func(*protocol.Message)
	// Subscribe and Unsubscribe act for the session of a client.
	Subscribe   func(client, filter string, qos protocol.QoS) error
	Unsubscribe func(client, filter string) error
	// Ban keeps a client out for some time.
	Ban func(client protocol.ClientID, reason string, span time.Duration) error
	// Command and Route add something and return the function that takes it
	// away again, or say what it clashes with. A pattern is that of http.ServeMux.
	Command func(Command) (remove func(), err error)
	Route   func(pattern string, h http.Handler) (remove func(), err error)
	// Listener has what f says listed among the listeners of the node.
	Listener func(f func() Listening) (remove func())
	// Path resolves the name of a file as the configuration does: from the node's home.
	Path func(string) string
	// Access adds a module to the access chain; panicked is told of its panics, on
	// any goroutine.
	Access func(m access.Module, panicked func(reason any)) (*access.Added, error)
	// Handshake serves a connection that speaks MQTT, which it owns from then on; it
	// returns when the client has been admitted or refused. See package gateway.
	Handshake func(net.Conn, *connections.Listener)
	// File is where the names of the loaded plugins are kept, one in a line with a
	// dot behind it, as EMQ does.
	File string
}

// Listening is a listener of a plugin, as operators see it.
type Listening struct {
	Name       string // as of others: tcp.external
	Protocol   string
	Address    string // IP:port
	MaxClients int
	Current    int               // clients
	Closed     map[string]uint64 // connections that are over, by reason
}

// Env is what a plugin registers itself with. It may be used while Start runs.
type Env struct {
	*Ground
	Name     string
	Settings Settings
	Log      *slog.Logger

	self     string // id of the plugin's actor
	crash    func(reason any)
	children []kernel.ChildSpec
	trial    hooks.Hooks // finds what is wrong with a hook before it is in force
	hooked   []hooked
	undo     []func()
	modules  []*access.Added

	mu    sync.Mutex    // hooks get in force on another goroutine than that which ends them
	ended chan struct{} // closed when the plugin ends
}

// hooked is a function that is called as long as the plugin runs.
type hooked struct {
	at       hooks.Point
	priority int
	f        any
}

// Hook has f called at a point, as soon as the plugin's actors have started: what f
// tells them is not lost. See package hooks for the types of functions and for
// priorities.
func (e *Env) Hook(at hooks.Point, priority int, f any) error {
	if err := e.trial.Add(e.Name, at, priority, f); err != nil {
		return err
	}
	e.hooked = append(e.hooked, hooked{at, priority, f})
	return nil
}

// started waits until each of the plugin's actors has told how its start ended.
func (e *Env) started(parts <-chan error) (err error) {
	for range cap(parts) {
		select {
		case failed := <-parts:
			err = errors.Join(err, failed)
		case <-e.ended:
			return kernel.ErrNotRunning
		}
	}
	return err
}

// enforce has the hooks called, unless the plugin has ended.
func (e *Env) enforce() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.ended:
		return kernel.ErrNotRunning
	default:
	}
	for _, h := range e.hooked {
		if err := e.Hooks.Add(e.Name, h.at, h.priority, h.f); err != nil {
			e.Hooks.Remove(e.Name)
			return err
		}
	}
	return nil
}

// AddCommand adds a command to emqttd_ctl.
func (e *Env) AddCommand(c Command) error { return e.added(e.Command(c)) }

// AddRoute adds a path to the HTTP API, below its authentication.
func (e *Env) AddRoute(pattern string, h http.Handler) error { return e.added(e.Route(pattern, h)) }

// AddAccess adds a module to the access chain, before those of access.modules, behind
// a Guard. A module that does not answer denies, and so does one whose plugin has
// crashed, until it is there again or the plugin is unloaded by an operator. Clients
// that were connected before are known to it by identifier, user name and address.
func (e *Env) AddAccess(m access.Module) error {
	a, err := e.Access(m, e.crash)
	if err == nil {
		e.modules = append(e.modules, a)
	}
	return err
}

// AddListener has a listener of the plugin listed among those of the node. f is called
// on any goroutine, and must not wait.
func (e *Env) AddListener(f func() Listening) { e.undo = append(e.undo, e.Listener(f)) }

func (e *Env) added(remove func(), err error) error {
	if err == nil {
		e.undo = append(e.undo, remove)
	}
	return err
}

// Actor adds an actor to the plugin's subtree, plugins/<plugin>/parts/<name>. It
// starts when Start has returned, before the hooks are called.
func (e *Env) Actor(name string, props *actor.Props) *actor.PID {
	e.children = append(e.children, kernel.ChildSpec{Name: name, Props: props, Restart: kernel.Permanent})
	return e.System.NewLocalPID(e.self + "/parts/" + name)
}

// Crash says that the plugin cannot go on: it is ended and started again. It may be
// called from any goroutine, as long as the plugin runs.
func (e *Env) Crash(reason any) { e.crash(reason) }

// OnStop has f called when the plugin ends, after its hooks have been taken away;
// the last one that was added comes first.
func (e *Env) OnStop(f func()) { e.undo = append(e.undo, f) }

// ends takes back what was registered, but for modules of the access chain, which it
// returns. A function that panics does not keep the
// others from being called.
func (e *Env) ends() (modules []*access.Added) {
	e.mu.Lock()
	select {
	case <-e.ended: // one that is given up ends twice
	default:
		close(e.ended)
	}
	e.Hooks.Remove(e.Name)
	e.mu.Unlock()
	for i := len(e.undo) - 1; i >= 0; i-- {
		e.safely(e.undo[i])
	}
	modules = e.modules
	e.undo, e.hooked, e.children, e.modules = nil, nil, nil, nil
	return modules
}

func (e *Env) safely(f func()) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("a plugin panicked while it was ended", "panic", p)
		}
	}()
	f()
}

// WrongArguments is the exit code of a command that was called with arguments that
// it does not take; its usage is printed.
const WrongArguments = 2

// Errors of loading and unloading, in EMQ's words.
var (
	ErrNotFound       = errors.New("not_found")
	ErrAlreadyStarted = errors.New("already_started")
	ErrNotStarted     = errors.New("not_started")
)
