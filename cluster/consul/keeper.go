package consul

import (
	"math/rand/v2"
	"slices"
	"time"

	"emqttd/cluster"
)

// todo is what is done already, and what the next calls have to do before the sign
// of life.
type todo struct {
	session    string // "" before there is one
	claimed    bool   // the session holds the name
	registered bool
}

// keepResult is how that went.
type keepResult struct {
	todo todo
	err  error
}

// keeper decides which calls keep the node registered, and when.
type keeper struct {
	ttl   time.Duration
	todo  todo
	began time.Time
	tries backoff
	tried bool // one try has ended
}

func newKeeper(ttl time.Duration) keeper {
	return keeper{ttl: ttl, began: time.Now(), tries: backoff{most: max(ttl, time.Second)}}
}

// took takes note of how the calls went, and says how long to wait.
func (k *keeper) took(r *keepResult) time.Duration {
	k.tried, k.todo = true, r.todo
	if r.err != nil {
		return k.tries.failed()
	}
	k.tries.reset()
	return jitter(k.ttl / 3)
}

// waited tells whether the boot has waited long enough for the session of a node
// that does not answer to end.
func (k *keeper) waited() bool { return time.Since(k.began) > 3*max(k.ttl, shortestSession) }

// watchResult is the end of a query.
type watchResult struct {
	found []cluster.Candidate // by name
	index uint64
	took  time.Duration
	err   error
}

// watcher decides when to ask for the other nodes, and what is new.
type watcher struct {
	index   uint64
	found   []cluster.Candidate
	known   bool // found is an answer
	running bool
	tries   backoff
}

func newWatcher() watcher { return watcher{tries: backoff{most: 15 * time.Second}} }

// soonest is the least time between two queries: a server that answers each at
// once must not keep us busy.
const soonest = 500 * time.Millisecond

// took takes note of an answer. It says how long to wait, and whether found has
// changed.
func (w *watcher) took(r *watchResult) (pause time.Duration, changed bool) {
	if r.err != nil {
		w.index = 0 // another server may answer next
		return w.tries.failed(), false
	}
	w.tries.reset()
	// An index that goes back is that of another or an emptied server.
	if w.index = r.index; r.index == 0 {
		w.index = 1
	}
	changed = !w.known || !slices.Equal(w.found, r.found)
	w.found, w.known = r.found, true
	return max(0, jitter(soonest)-r.took), changed
}

// backoff makes the pauses between tries longer, up to most.
type backoff struct {
	most time.Duration
	n    int
}

const firstPause = 250 * time.Millisecond

func (b *backoff) failed() time.Duration {
	pause := b.most
	if b.n < 16 {
		pause = min(b.most, firstPause<<b.n)
	}
	b.n++
	return jitter(pause)
}

func (b *backoff) reset() { b.n = 0 }

// jitter takes off up to a quarter, so that nodes which began together do not go on
// together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }
