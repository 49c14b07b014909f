package connections

import (
	"net"
	"sync"
	"time"
)

// Whoever is refused may come again at once, thousands of times a second. All are
// counted, but each source is named only once in a while for one reason.
const (
	refusalInterval = time.Minute
	maxRefusals     = 4096 // sources and reasons that are remembered
)

// refusals keeps the log short. The zero value is ready.
type refusals struct {
	mu   sync.Mutex
	seen map[refusalKey]*refusalNote
}

type refusalKey struct{ listener, source, reason string }

type refusalNote struct {
	since  time.Time
	silent int
}

// note tells whether a refusal is to be logged, and how many of the same kind
// were not since the last one.
func (r *refusals) note(now time.Time, k refusalKey) (log bool, silent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.seen[k]
	if n == nil && len(r.seen) >= maxRefusals {
		r.forget(now)
		if len(r.seen) >= maxRefusals {
			k.source = "" // so many sources are one
			n = r.seen[k]
		}
	}
	if n == nil {
		if r.seen == nil {
			r.seen = make(map[refusalKey]*refusalNote)
		}
		r.seen[k] = &refusalNote{since: now}
		return true, 0
	}
	if now.Sub(n.since) < refusalInterval {
		n.silent++
		return false, 0
	}
	silent = n.silent
	n.since, n.silent = now, 0
	return true, silent
}

func (r *refusals) forget(now time.Time) {
	for k, n := range r.seen {
		if now.Sub(n.since) >= refusalInterval {
			delete(r.seen, k)
		}
	}
}

// Refused counts a connection that a listener does not take, and logs it unless
// the same source was refused for the same reason a moment ago. more are further
// attributes of the log.
func (rt *Runtime) Refused(listener string, peer net.Addr, reason string, err error, more ...any) {
	rt.Metrics.Refuse(reason)
	source, _ := address(peer)
	log, silent := rt.refusals.note(time.Now(), refusalKey{listener, source, reason})
	if !log {
		return
	}
	args := append([]any{"peer", peer.String(), "reason", reason, "listener", listener}, more...)
	if err != nil {
		args = append(args, "error", err)
	}
	if silent > 0 {
		args = append(args, "not_logged", silent)
	}
	rt.Log.Info("connection refused", args...)
}
