package connections

import "sync"

// polling is the poller of a node, made when it is first needed.
type polling struct {
	once sync.Once
	p    *poller // nil: there is none
}

func (rt *Runtime) poller() *poller {
	if !rt.Epoll {
		return nil
	}
	rt.polling.once.Do(func() {
		p, err := newPoller()
		if err != nil {
			rt.Log.Warn("a goroutine reads each connection", "error", err)
			return
		}
		rt.polling.p = p
	})
	return rt.polling.p
}

// close ends the poller, if there is one; none is made any more.
func (p *polling) close() {
	p.once.Do(func() {})
	if p.p != nil {
		p.p.close()
	}
}

// unwaited is how a connection is held once its CONNECT has been read: in a form
// that needs no goroutine to wait for more, if there is one.
func (rt *Runtime) unwaited(t Transport) Link {
	switch t := t.(type) {
	case *plainTransport:
		if p, ok := t.Conn.(Polled); ok {
			return p
		}
	case interface{ Unwrap() Transport }:
		if p, ok := rt.unwaited(t.Unwrap()).(Polled); ok {
			return p
		}
	default:
		if poller := rt.poller(); poller != nil {
			p, err := poller.polled(t)
			if err != nil {
				rt.Log.Warn("a goroutine reads a connection", "peer", t.RemoteAddr().String(), "error", err)
			} else if p != nil {
				return p
			}
		}
	}
	return t
}
