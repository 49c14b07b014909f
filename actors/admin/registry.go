package admin

import (
	"fmt"
	"strings"
	"sync/atomic"

	"emqttd/cluster/wire"
)

// Handler is one command of emqttd_ctl.
type Handler struct {
	Name   string
	Usage  []Usage
	Hidden bool // not listed by help: a command between our own programs
	// Run executes the command and returns one page. It runs on a goroutine of its own, may block, and is abandoned after
	// 60 seconds. A panic becomes an error for the operator.
	Run func(*Request) Result
}

// Usage is one line of help.
type Usage struct{ Line, Text string }

// Request is one call of a command.
type Request struct {
	Sources *Sources
	Args    []string // without the command's name
	Cursor  string   // "" = first page
	JSON    bool     // rows are wanted as JSON; what a handler says in words is wrapped

	handler  *Handler
	registry *Registry
}

// WrongArguments is the answer to arguments that the command does not take: its usage, and ExitUsage.
func (r *Request) WrongArguments() Result {
	return Result{Text: r.handler.usage(), ExitCode: ExitUsage}
}

func (h *Handler) usage() string {
	var b strings.Builder
	for _, u := range h.Usage {
		fmt.Fprintf(&b, "%-47s # %s\n", u.Line, u.Text)
	}
	return b.String()
}

// Registry is the list of commands. Only the admin actor writes to it; commands that run meanwhile read a snapshot. It
// is made once for the node and so survives a restart of the actor.
type Registry struct{ handlers atomic.Pointer[[]*Handler] }

// NewRegistry returns a registry with the commands of the broker itself.
func NewRegistry() *Registry {
	r := new(Registry)
	all := coreHandlers()
	r.handlers.Store(&all)
	return r
}

func (r *Registry) lookup(name string) *Handler {
	for _, h := range *r.handlers.Load() {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Names are those of all commands.
func (r *Registry) Names() (names []string) {
	for _, h := range *r.handlers.Load() {
		names = append(names, h.Name)
	}
	return names
}

// set adds a command; one that exists is replaced in its place.
func (r *Registry) set(h *Handler) {
	next := append([]*Handler(nil), *r.handlers.Load()...)
	for i := range next {
		if next[i].Name == h.Name {
			next[i] = h
			r.handlers.Store(&next)
			return
		}
	}
	next = append(next, h)
	r.handlers.Store(&next)
}

func (r *Registry) remove(name string) {
	var next []*Handler
	for _, h := range *r.handlers.Load() {
		if h.Name != name {
			next = append(next, h)
		}
	}
	r.handlers.Store(&next)
}

// Usage lists the lines of all commands that help shows. One that is continued is there in parts.
func (r *Registry) Usage() (lines []Usage) {
	for _, h := range *r.handlers.Load() {
		if !h.Hidden {
			lines = append(lines, h.Usage...)
		}
	}
	return lines
}

// usage is what help prints: every command below a line of dashes.
func (r *Registry) usage() string {
	var b strings.Builder
	b.WriteString("Usage: emqttd_ctl\n")
	for _, h := range *r.handlers.Load() {
		if !h.Hidden {
			b.WriteString(strings.Repeat("-", 80) + "\n" + h.usage())
		}
	}
	return b.String()
}

// maxText is the longest text that fits into one frame, with room for the other fields.
const maxText = wire.MaxBody - 1024

// run executes one command, here or where it is for, on the caller's goroutine.
func (r *Registry) run(o *Options, c *Command) Result {
	switch {
	case c.All:
		return r.runAll(o, c)
	case c.Node != "":
		return r.runOn(o, c.Node, c)
	}
	res := r.runHere(o.Sources, c)
	if c.JSON && !res.formatted {
		res = wrapped(res)
	}
	if len(res.Text) > maxText {
		// One row of names at the limit of MQTT, all control characters. It is cut rather than lost on the wire.
		res.Text = strings.ToValidUTF8(res.Text[:maxText], "") + "…\n"
	}
	return res
}

func (r *Registry) runHere(src *Sources, c *Command) (res Result) {
	defer func() {
		if p := recover(); p != nil {
			res = Result{Text: fmt.Sprintf("RPC to %s error: %v\n", src.Node, p), ExitCode: ExitFailed}
		}
	}()
	if len(c.Args) == 0 || (len(c.Args) == 1 && c.Args[0] == "help") {
		return Result{Text: r.usage()}
	}
	h := r.lookup(c.Args[0])
	if h == nil {
		return Result{Text: r.usage(), ExitCode: ExitUsage}
	}
	if n := len(c.Args); n > 1 && (c.Args[n-1] == "--help" || n == 2 && c.Args[1] == "-h") {
		return Result{Text: h.usage()}
	}
	return h.Run(&Request{Sources: src, Args: c.Args[1:], Cursor: c.Cursor, JSON: c.JSON, handler: h, registry: r})
}
