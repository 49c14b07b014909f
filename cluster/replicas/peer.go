package replicas

import (
	"sync"
	"sync/atomic"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/replicas/lww"
)

// peer is what a Table knows of one conversation.
type peer struct {
	table *Table
	to    cluster.Peer
	name  string

	numbers atomic.Uint32 // of frames that go in pieces

	mu     sync.Mutex
	closed bool
	ready  func() // nil when it was called
	timer  *time.Timer
	// As a puller: the round that is under way, and whether one came to its end.
	round  uint32
	pulled bool
	// As a holder: whether the peer has thanked for a round, and the one that it
	// pulls now.
	thanked bool
	theirs  uint32
	digest  *lww.Digest
	marks   lww.Marks
	// Live changes.
	backlog []byte
	flights int  // chunks on their way
	late    bool // the backlog was forgotten
	parts   map[uint32][]byte
}

// flights is how many chunks of live changes are on their way at a time; more
// changes wait to go together.
const maxFlights = 4

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.backlog, p.marks, p.parts = nil, nil, nil
	if p.timer != nil {
		p.timer.Stop()
	}
}

// send sends a frame; done as for SendData.
func (p *peer) send(f *frame, done func(error)) {
	pieces := f.pieces(func() uint32 { return p.numbers.Add(1) })
	for _, b := range pieces[:len(pieces)-1] {
		p.to.SendData(p.table.o.Kind, b, nil)
	}
	p.to.SendData(p.table.o.Kind, pieces[len(pieces)-1], done)
}

// onPart collects the pieces of a long frame. Those of several may be mixed.
func (p *peer) onPart(f *frame) error {
	p.mu.Lock()
	if p.parts == nil {
		p.parts = map[uint32][]byte{}
	}
	body := append(p.parts[f.Round], f.Blob...)
	if !f.Last {
		p.parts[f.Round] = body
		p.mu.Unlock()
		return nil
	}
	delete(p.parts, f.Round)
	p.mu.Unlock()
	whole, err := decodeFrame(body)
	if err != nil {
		return err
	}
	return p.take(&whole)
}

// pull begins a round. One that is under way is forgotten.
func (p *peer) pull() {
	p.mu.Lock()
	p.round++
	round := p.round
	p.mu.Unlock()
	p.table.source.Digest(func(d *lww.Digest) {
		p.send(&frame{What: have, Round: round, Blob: putWords(d[:])}, nil)
	})
}

// overdue lets the node be up without the rest of the table.
func (p *peer) overdue() {
	p.mu.Lock()
	closed, ready, pulled := p.closed, p.ready, p.pulled
	p.ready = nil
	if !closed && !pulled {
		p.timer.Reset(p.table.o.Ready)
	}
	p.mu.Unlock()
	if closed || pulled && ready == nil {
		return
	}
	p.table.o.Log.Warn("a replica is late", "node", p.name, "kind", p.table.o.Kind, "pulled", pulled)
	if ready != nil {
		ready()
	}
	if !pulled {
		p.pull()
	}
}

// settle calls ready when both have what the other had.
func (p *peer) settle(note func()) {
	p.mu.Lock()
	note()
	var ready func()
	if p.pulled && p.thanked {
		ready, p.ready = p.ready, nil
	}
	p.mu.Unlock()
	if ready != nil {
		ready()
	}
}

// take handles a frame, on the goroutine of the data lane.
func (p *peer) take(f *frame) error {
	switch f.What {
	case have:
		return p.onHave(f)
	case want:
		return p.onWant(f)
	case marks:
		return p.onMarks(f)
	case entries:
		return p.onEntries(f)
	case end:
		p.mu.Lock()
		current := f.Round == p.round
		p.mu.Unlock()
		if current {
			p.table.Rounds.Add(1)
			p.send(&frame{What: thanks, Round: f.Round}, nil)
			p.settle(func() { p.pulled = true })
		}
	case thanks:
		p.settle(func() { p.thanked = true })
	case late:
		p.pull()
	case part:
		return p.onPart(f)
	}
	return nil // what a later version says besides is not for us
}

// onHave compares the digest of the peer with ours.
func (p *peer) onHave(f *frame) error {
	d, err := f.digest()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.theirs, p.marks, p.digest = f.Round, nil, nil
	p.mu.Unlock()
	p.table.source.Digest(func(ours *lww.Digest) {
		differ := lww.Differing(ours, d)
		asked := differ.And(d.Used())
		if asked.Empty() {
			p.tellAll(f.Round, differ, nil)
			return
		}
		p.mu.Lock()
		p.digest = d
		p.mu.Unlock()
		p.send(&frame{What: want, Round: f.Round, Blob: putWords(asked[:])}, nil)
	})
	return nil
}

// marksLen is how many marks a frame carries: 128 KB.
const marksLen = 16 << 10

// onWant tells the holder what we have.
func (p *peer) onWant(f *frame) error {
	in, err := f.set()
	if err != nil {
		return err
	}
	p.table.source.Marks(in, func(all lww.Marks) {
		for {
			n := min(len(all), marksLen)
			last := n == len(all)
			p.send(&frame{What: marks, Round: f.Round, Last: last, Blob: putWords(all[:n])}, nil)
			if all = all[n:]; last {
				return
			}
		}
	})
	return nil
}

// onMarks collects what the puller has; then it gets the rest.
func (p *peer) onMarks(f *frame) error {
	some, err := f.marks()
	if err != nil {
		return err
	}
	p.mu.Lock()
	if f.Round != p.theirs || p.digest == nil {
		p.mu.Unlock()
		return nil // of a round that was given up
	}
	p.marks = append(p.marks, some...)
	had, d := p.marks, p.digest
	if f.Last {
		p.marks, p.digest = nil, nil
	}
	p.mu.Unlock()
	if !f.Last {
		return nil
	}
	had.Sort()
	// The digest of now: what has changed meanwhile is sent live anyhow.
	p.table.source.Digest(func(ours *lww.Digest) { p.tellAll(f.Round, lww.Differing(ours, d), had) })
	return nil
}

// tellAll sends the puller what it has not.
func (p *peer) tellAll(round uint32, in lww.Set, had lww.Marks) {
	p.table.source.Scan(in, had, func(chunk []byte, next func()) {
		p.table.SentEntryBytes.Add(uint64(len(chunk)))
		p.send(&frame{What: entries, Round: round, Blob: chunk}, func(err error) {
			if err == nil { // else nobody is there any more, and the scan ends here
				next()
			}
		})
	}, func() {
		p.send(&frame{What: end, Round: round}, nil)
	})
}

// applyTime bounds how long the data lane waits for a shard. Only one that is gone
// takes longer: what it was told is lost then, and the next round brings it.
const applyTime = 10 * time.Second

// onEntries applies a chunk and returns when that is done, so that the peer does
// not send faster than the tables take it.
func (p *peer) onEntries(f *frame) error {
	p.table.ReceivedEntryBytes.Add(uint64(len(f.Blob)))
	done := make(chan struct{})
	err := p.table.source.Apply(p.name, f.Blob, func() { close(done) })
	timer := time.NewTimer(applyTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		p.table.o.Log.Warn("a replica does not take what a node sends", "node", p.name)
	}
	return err
}

// tell sends a live change, or has it wait for more.
func (p *peer) tell(entry []byte) {
	p.mu.Lock()
	switch {
	case p.closed || p.late:
	case len(p.backlog)+len(entry) > p.table.o.Backlog:
		p.late, p.backlog = true, nil
		p.table.Late.Add(1)
	default:
		p.backlog = append(p.backlog, entry...)
	}
	f := p.next()
	p.mu.Unlock()
	p.sendLive(f)
}

// flushLen is how long a chunk of live changes becomes before there are two.
const flushLen = 256 << 10

// next is the frame of live changes that goes now; nil if the peer has to take some
// first, or there is none. p.mu is held.
func (p *peer) next() *frame {
	if p.closed || p.flights > 0 && (p.flights >= maxFlights || len(p.backlog) < flushLen) {
		return nil
	}
	switch {
	case p.late && p.flights == 0:
		p.late = false
		return &frame{What: late}
	case len(p.backlog) == 0:
		return nil
	}
	f := &frame{What: entries, Blob: p.backlog}
	p.backlog = nil
	p.flights++
	return f
}

func (p *peer) sendLive(f *frame) {
	switch {
	case f == nil:
	case f.What == late:
		p.send(f, nil)
	default:
		p.table.SentEntryBytes.Add(uint64(len(f.Blob)))
		p.send(f, p.landed)
	}
}

func (p *peer) landed(error) {
	p.mu.Lock()
	p.flights--
	f := p.next()
	p.mu.Unlock()
	p.sendLive(f)
}
