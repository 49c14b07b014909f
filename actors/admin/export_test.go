package admin

import "time"

// What the tests outside of the package need of its inside.
const (
	MaxRunning = maxRunning
	MaxText    = maxText
	PageRows   = pageRows
)

var LocalAddress = localAddress

func (r *Registry) Run(o *Options, c *Command) Result { return r.run(o, c) }
func (r *Registry) Handlers() []*Handler              { return *r.handlers.Load() }
func (r *Registry) Set(h *Handler)                    { r.set(h) }
func (r *Registry) Remove(name string)                { r.remove(name) }

func (o Options) WithTimeout(d time.Duration) Options {
	o.timeout = d
	return o
}
