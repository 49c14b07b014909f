package store

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"emqttd/protocol"
)

// Progress is how far a recovery is.
type Progress struct {
	What        string // sessions, messages or retained
	Done, Total int    // Total is 0 while it is not known
}

// Report is what a recovery has found.
type Report struct {
	Sessions, Subscriptions, Messages, Retained int
	// Dead items and orphans – what belongs to no session – are deleted.
	Dead, Orphans int
	// Quarantined records could not be decoded and were moved to kind z.
	Quarantined int
	// Holes is how often a corrupt part of a table was passed over.
	Holes int
	Took  time.Duration
}

// Recovered is what is kept of one session. It belongs to who receives it.
type Recovered struct {
	Session       Session
	Subscriptions []Subscription
	Window        Window
	Awaiting      map[protocol.PacketID]int64 // nil for none
	Levels        []Level                     // by descending priority
	// Inflight are the items that flights name which are not spent, in the order
	// of Window.Flights. A flight whose item is gone stays in Window.Flights.
	Inflight []Item
}

// Level is what waits at one priority.
type Level struct {
	Priority int16
	Head     []Item // the first that wait, oldest first
	Waiting  int    // all that wait
	Bytes    int    // of those: the sum of protocol.Message.Size
	Last     uint64 // the highest sequence number that was ever seen here
}

// recovery is one run of Recover. Its cursors move through the sessions side by
// side.
type recovery struct {
	disk   *Disk
	window int
	report Report
	ops    Ops // what is to be deleted or moved
	mem    memory

	sessions, subscriptions, windows, awaiting, items *cursor

	orphans  map[SessionID]struct{}
	progress time.Time
	counted  bool // the references of what it reads are counted already
}

// Recover calls each with every session, oldest first, and with the first
// window items of each of its levels. It is called once, after Open and before
// the first Commit. What cannot be read is passed over, logged and counted; it
// is never a reason not to start. An error says that the store was closed or
// has failed.
func (d *Disk) Recover(window int, each func(*Recovered)) (Report, error) {
	r := &recovery{disk: d, window: window, orphans: make(map[SessionID]struct{})}
	err := d.reading(func() error { return r.run(each) })
	return r.report, err
}

func (r *recovery) run(each func(*Recovered)) error {
	started := time.Now()
	for kind, c := range map[byte]**cursor{
		kindSession: &r.sessions, kindSubscription: &r.subscriptions, kindWindow: &r.windows,
		kindAwaiting: &r.awaiting, kindItem: &r.items,
	} {
		var err error
		if *c, err = r.disk.walk(kind); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		defer (*c).close()
	}
	for ; r.sessions.valid; r.sessions.next() {
		if s := r.session(); s != nil {
			each(s)
		}
	}
	for _, c := range r.followers() {
		c.to(1<<64-1, r.orphan)
		r.report.Holes += c.holes
	}
	r.report.Holes += r.sessions.holes
	r.clearOrphans()
	if err := r.clearMessages(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	r.disk.Commit(&r.ops, nil)
	r.report.Quarantined = int(r.disk.figures.quarantined.Load())
	r.report.Took = time.Since(started)
	return nil
}

// followers are the cursors that follow the one over the sessions.
func (r *recovery) followers() []*cursor {
	return []*cursor{r.subscriptions, r.windows, r.awaiting, r.items}
}

func (r *recovery) orphan(sid SessionID) { r.orphans[sid] = struct{}{} }

// session reads all of the session that the cursors have come to; nil if its
// record cannot be decoded.
func (r *recovery) session() *Recovered {
	sid, ok := r.sessions.session()
	s, err := decodeSession(r.sessions.value())
	if err != nil || !ok {
		r.disk.quarantine(&r.ops, r.sessions.last, r.sessions.value(), errRecord)
		return nil // its other records are orphans
	}
	s.ID = sid
	v := &Recovered{Session: *s}
	r.report.Sessions++
	for _, c := range r.followers() {
		c.to(sid, r.orphan)
	}
	for c := r.subscriptions; c.on(sid); c.next() {
		sub, err := decodeSubscription(c.last[sessionKeyLen:], c.value())
		if err != nil {
			r.disk.quarantine(&r.ops, c.last, c.value(), err)
			continue
		}
		v.Subscriptions = append(v.Subscriptions, sub)
	}
	r.report.Subscriptions += len(v.Subscriptions)
	for c := r.windows; c.on(sid); c.next() {
		w, err := decodeWindow(c.value())
		if err != nil {
			r.disk.quarantine(&r.ops, c.last, c.value(), err)
			continue
		}
		v.Window = w
	}
	for c := r.awaiting; c.on(sid); c.next() {
		r.await(v, c)
	}
	r.queue(v)
	if time.Since(r.progress) > 200*time.Millisecond {
		r.progress = time.Now()
		r.disk.tell(Progress{What: "sessions", Done: r.report.Sessions})
	}
	return v
}

func (r *recovery) await(v *Recovered, c *cursor) {
	at, err := decodeAwaiting(c.value())
	if err != nil || len(c.last) != awaitingKeyLen {
		r.disk.quarantine(&r.ops, c.last, c.value(), errRecord)
		return
	}
	if v.Awaiting == nil {
		v.Awaiting = make(map[protocol.PacketID]int64)
	}
	v.Awaiting[protocol.PacketID(c.last[9])<<8|protocol.PacketID(c.last[10])] = at
}

// place is what names an item within its session.
type place struct {
	priority int16
	seq      uint64
}

// queue reads the items of a session: it counts those that wait, reads the first
// ones and those in flight, and deletes the dead.
func (r *recovery) queue(v *Recovered) {
	sid := v.Session.ID
	if !r.items.on(sid) {
		return
	}
	flights := v.Window.places()
	inflight := make([]Item, len(v.Window.Flights))
	dead := deadRange{ops: &r.ops, sid: sid}
	for c := r.items; c.on(sid); c.next() {
		priority, seq, ok := splitItemKey(c.last)
		if !ok {
			r.disk.quarantine(&r.ops, c.last, c.value(), errRecord)
			continue
		}
		level := v.level(priority)
		level.Last = seq
		i, flying := flights[place{priority, seq}]
		if !flying && seq < v.Window.head(priority) {
			dead.add(priority, seq)
			r.report.Dead++
			continue
		}
		if it, ok := r.item(level, flying); ok && flying {
			it.Priority, it.Seq = priority, seq
			inflight[i] = it
		}
		dead.end()
	}
	dead.end()
	v.Inflight = slices.DeleteFunc(inflight, func(it Item) bool { return it.Message == nil })
	slices.Reverse(v.Levels)
}

// item reads the item under the cursor, counts it, and keeps it if it is one of
// the first of its level. A flying one is only read.
func (r *recovery) item(level *Level, flying bool) (Item, bool) {
	c := r.items
	want := flying || len(level.Head) < r.window
	mem := &r.mem
	if !want {
		mem = nil
	}
	rec, err := decodeItem(c.value(), mem)
	if err == nil && rec.Shared && want {
		rec.Message, err = r.disk.message(rec.mid, mem)
	}
	if err != nil {
		r.disk.quarantine(&r.ops, c.last, c.value(), err)
		return Item{}, false
	}
	if want && rec.Message == nil {
		return Item{}, false // a shared message that all have released
	}
	r.report.Messages++
	if rec.Shared && !r.counted {
		r.disk.refs.add(rec.mid, 0)
	}
	if flying {
		return rec.Item, true
	}
	level.Waiting++
	level.Bytes += rec.size
	if want {
		rec.Priority, rec.Seq, _ = splitItemKey(c.last)
		level.Head = append(level.Head, rec.Item)
	}
	return rec.Item, true
}

// level is the level of a priority. They come in ascending order, as in the keys.
func (v *Recovered) level(priority int16) *Level {
	if n := len(v.Levels); n > 0 && v.Levels[n-1].Priority == priority {
		return &v.Levels[n-1]
	}
	v.Levels = append(v.Levels, Level{Priority: priority})
	return &v.Levels[len(v.Levels)-1]
}

// places are the flights that are not spent by their items.
func (w *Window) places() map[place]int {
	flights := make(map[place]int, len(w.Flights))
	for i, f := range w.Flights {
		if f.Phase != PhaseSpent {
			flights[place{f.Priority, f.Seq}] = i
		}
	}
	return flights
}

// head is the first sequence number that waits at a priority.
func (w *Window) head(priority int16) uint64 {
	for _, h := range w.Heads {
		if h.Priority == priority {
			return h.Seq
		}
	}
	return w.NextSeq
}

// deadRange deletes dead items that stand side by side together.
type deadRange struct {
	ops      *Ops
	sid      SessionID
	priority int16
	from, to uint64
}

func (r *deadRange) add(priority int16, seq uint64) {
	if priority != r.priority {
		r.end()
	}
	if r.from == r.to {
		r.priority, r.from = priority, seq
	}
	r.to = seq + 1
}

func (r *deadRange) end() {
	r.ops.DropItems(r.sid, r.priority, r.from, r.to)
	r.from, r.to = 0, 0
}

// clearOrphans deletes records that belong to no session. Where the records of
// sessions could not all be read, they may belong to one of those: they stay.
func (r *recovery) clearOrphans() {
	r.report.Orphans = len(r.orphans)
	if len(r.orphans) == 0 || r.sessions.holes > 0 {
		return
	}
	r.disk.log.Info("store: clearing away what sessions have left that are over", slog.Int("sessions", len(r.orphans)))
	for sid := range r.orphans {
		if err := r.disk.clear(sid, false); err != nil {
			r.report.Holes++
			r.disk.hole(appendSessionKey(nil, kindItem, sid), err)
		}
	}
}

// clearMessages deletes shared messages that nobody refers to, unless somebody
// who does could not be read.
func (r *recovery) clearMessages() error {
	c, err := r.disk.walk(kindMessage)
	if err != nil {
		return err
	}
	defer c.close()
	keep := r.report.Holes > 0
	for ; c.valid; c.next() {
		mid, err := c.number()
		switch {
		case err != nil:
			r.disk.quarantine(&r.ops, c.last, c.value(), err)
		case !keep && !r.disk.refs.has(mid):
			r.ops.dropMessage(mid)
			r.report.Orphans++
		}
	}
	r.report.Holes += c.holes
	return nil
}

func (d *Disk) tell(p Progress) {
	if d.opts.Progress != nil {
		d.opts.Progress(p)
	}
}
