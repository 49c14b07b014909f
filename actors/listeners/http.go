package listeners

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
)

// HTTP is a listener that serves HTTP. Its figures may be read from any
// goroutine.
type HTTP struct {
	*Listener
	server func() *http.Server
}

// NewHTTP makes a listener whose connections are served by what server makes,
// which is called once for each time the listener opens.
func NewHTTP(o Options, log *slog.Logger, server func() *http.Server) *HTTP {
	l := &Listener{log: log}
	l.terms.Store(l.newTerms(o))
	return &HTTP{Listener: l, server: server}
}

// Spec is the child of the supervisor listeners.
func (h *HTTP) Spec() kernel.ChildSpec {
	return kernel.ChildSpec{
		Name:    h.terms.Load().Name,
		Props:   kernel.NewProps(func() actor.Actor { return &httpActor{h: h} }),
		Restart: kernel.Permanent,
	}
}

// httpActor owns the socket and the goroutine that serves it.
type httpActor struct {
	h      *HTTP
	server *http.Server
	done   chan struct{}
}

// Start implements kernel.Starter.
func (a *httpActor) Start(actor.Context) error {
	socket, err := a.h.open()
	if err != nil {
		return err
	}
	a.server, a.done = a.h.server(), make(chan struct{})
	a.server.ConnState = a.h.track()
	go func() {
		defer close(a.done)
		if err := a.server.Serve(&guarded{socket, a.h}); !errors.Is(err, http.ErrServerClosed) {
			a.h.log.Error("HTTP listener ended", "listener", a.h.terms.Load().Name, "error", err)
		}
	}()
	return nil
}

// Receive implements actor.Actor.
func (a *httpActor) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		if a.server != nil {
			a.h.opened.Store(false)
			_ = a.server.Close()
			<-a.done
		}
	}
}

// guarded accepts those whom the access rules let in.
type guarded struct {
	net.Listener
	h *HTTP
}

// Accept implements net.Listener.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || allowed(g.h.terms.Load().Access, c.RemoteAddr()) {
			return c, err
		}
		g.h.closed.add("access_denied")
		_ = c.Close()
	}
}

// track counts connections and closes those above the limit.
func (h *HTTP) track() func(net.Conn, http.ConnState) {
	var over atomic.Int64
	return func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			if n, most := h.current.Add(1), h.terms.Load().MaxClients; most > 0 && n > int64(most) {
				over.Add(1)
				_ = c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			h.current.Add(-1)
			if n := over.Load(); n > 0 && over.CompareAndSwap(n, n-1) {
				h.closed.add("maxlimit")
				return
			}
			h.closed.add("closed")
		}
	}
}
