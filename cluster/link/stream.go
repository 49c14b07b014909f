package link

import (
	"errors"
	"fmt"
	"io"
	"time"

	"emqttd/cluster/wire"
)

var (
	errStale     = errors.New("another stream or the end came first")
	errProtocol  = errors.New("the peer broke the protocol")
	errConfused  = errors.New("the two do not speak of the same conversation")
	errSaidBye   = errors.New("it said good-bye")
	errLostTrack = fmt.Errorf("%w: a message is missing", errProtocol)
)

// run carries the conversation over a stream until that breaks, and returns why. It is the
// reader; the writer is a goroutine that ends before it returns.
func (p *Peer) run(s wire.Stream, turn uint64, received [lanes]uint64) (err error) {
	defer s.Close()
	if err := p.attach(s, turn, received); err != nil {
		p.net.tellLink(p.member.Name, &detached{p, turn})
		return err
	}
	p.net.tellLink(p.member.Name, &attached{p})
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer s.Close()
		p.write(s)
	}()
	err = p.read(s)
	s.Close()
	p.mu.Lock()
	p.broken = true
	p.changed.Broadcast()
	p.mu.Unlock()
	<-written
	p.mu.Lock()
	p.stream = nil
	p.changed.Broadcast()
	p.mu.Unlock()
	p.net.tellLink(p.member.Name, &detached{p, turn})
	return err
}

func (p *Peer) attach(s wire.Stream, turn uint64, received [lanes]uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil || p.turn != turn || p.stream != nil {
		return errStale
	}
	for i := range p.out {
		again, ok := p.out[i].resume(received[i])
		if !ok {
			p.endLocked(errConfused)
			return errConfused
		}
		p.net.counts.resent.Add(uint64(again))
	}
	now := time.Now()
	p.stream, p.broken = s, false
	p.streams++
	p.heard, p.confirmed = now, now // the handshake has shown it
	p.due.status, p.due.ask = true, true
	return nil
}

// write sends what there is until the stream breaks.
func (p *Peer) write(s wire.Stream) {
	var records []record
	for {
		var more bool
		records, more = p.next(records[:0])
		if !more {
			return
		}
		size := 1
		for i := range records {
			size += recordHead + len(records[i].body)
		}
		b := append(make([]byte, 0, size), p.wire)
		for i := range records {
			b = appendRecord(b, &records[i])
		}
		clear(records)
		n := uint64(len(b))
		if s.Send(b) != nil {
			return // the reader knows why
		}
		p.bytesOut.Add(n)
		p.net.counts.bytesOut.Add(n)
	}
}

// next waits for something to write and takes a batch of it: first what the link says
// itself, then the control lane, then data as far as credit goes. Neither lane fills
// the batch alone while the other one waits.
func (p *Peer) next(records []record) ([]record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.broken:
			return nil, false
		case p.due.bye:
			p.due.bye = false
			return p.appendLink(records, p.farewell), true
		case p.ended != nil:
			if p.farewell == nil {
				return nil, false
			} // else the other side closes when it has read it
		case p.due.status || p.out[0].unwritten() || p.mayWriteData():
			return p.fill(records), true
		}
		p.changed.Wait()
	}
}

func (p *Peer) fill(records []record) []record {
	if p.due.status || p.in[0].handled != p.in[0].told || p.in[1].handled != p.in[1].told {
		records = p.appendLink(records, p.status())
	}
	room := maxBatch
	half := room
	if p.mayWriteData() {
		half = maxBatch / 2
	}
	for p.out[0].unwritten() && (room > maxBatch-half || len(records) == 0) {
		records, room = p.appendNext(records, 0, room)
	}
	for p.mayWriteData() && (room > 0 || len(records) == 0) {
		if len(records) > 0 && len(p.out[1].items[p.out[1].next].body) > room && room < maxBatch {
			break
		}
		records, room = p.appendNext(records, 1, room)
	}
	return records
}

func (p *Peer) appendNext(records []record, lane, room int) ([]record, int) {
	i, seq := p.out[lane].take()
	return append(records, record{uint8(lane + laneControl), seq, i.kind, i.body}), room - recordHead - len(i.body)
}

// mayWriteData tells whether there is data and credit for it. One message may always
// fly, so that a large one passes at all.
func (p *Peer) mayWriteData() bool {
	l := &p.out[1]
	return l.unwritten() && (l.written() == 0 || l.flying < p.window.bytes && l.written() < p.window.count)
}

func (p *Peer) appendLink(records []record, m wire.Message) []record {
	frame, err := m.Serialize()
	if err != nil {
		p.net.log.Error("a link cannot say what it must", "message", fmt.Sprintf("%T", m), "error", err)
		return records
	}
	kind, body := wire.Open(frame)
	return append(records, record{lane: laneLink, kind: kind, body: body})
}

// status makes a heartbeat of what is due.
func (p *Peer) status() *status {
	now := time.Now()
	s := &status{
		Control: p.in[0].handled, Data: p.in[1].handled, Bytes: creditBytes, Count: creditCount,
		Time: p.net.since(now), Echo: p.echo, Ask: p.due.ask, Stamp: p.net.clock.Now(),
	}
	if p.echo != 0 {
		s.Held = int64(now.Sub(p.echoed))
	}
	for i := range p.in {
		p.in[i].told, p.in[i].bytes = p.in[i].handled, 0
	}
	p.due.status, p.due.ask = false, false
	return s
}

// read handles what comes until the stream breaks.
func (p *Peer) read(s wire.Stream) error {
	for {
		b, err := s.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return err
		}
		p.bytesIn.Add(uint64(len(b)))
		p.net.counts.bytesIn.Add(uint64(len(b)))
		if err := p.take(b); err != nil {
			if errors.Is(err, errBatch) || errors.Is(err, errProtocol) {
				p.net.note(nil, refuse(Malformed, "%s: %v", p.member.Name, err))
			}
			return err
		}
	}
}

// take handles one batch.
func (p *Peer) take(b []byte) error {
	b, err := openBatch(b)
	if err != nil {
		return err
	}
	if !p.noteHeard() {
		return nil // somebody closes the stream
	}
	wake := false
	for len(b) > 0 {
		var r record
		if r, b, err = nextRecord(b); err != nil {
			return err
		}
		switch r.lane {
		case laneLink:
			err = p.takeLink(&r)
		case laneControl:
			err = p.takeControl(&r)
		case laneData:
			wake = true
			err = p.takeData(r)
		default:
			p.net.counts.unknown.Add(1)
		}
		if err != nil {
			return err
		}
	}
	if wake {
		p.changed.Broadcast()
	}
	return nil
}

func (p *Peer) noteHeard() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	return p.ended == nil
}

// fresh tells whether a message is the next one of its lane, and notes it. One that
// came before is dropped: the stream before this one may have brought it.
func (p *Peer) fresh(lane int, seq uint64) (bool, error) {
	in := &p.in[lane]
	switch {
	case p.ended != nil:
		return false, nil
	case seq == in.received+1:
		in.received = seq
		return true, nil
	case seq == 0 || seq > in.received:
		return false, fmt.Errorf("%w: %d after %d", errLostTrack, seq, in.received)
	case takesDuplicate:
		return true, nil
	default:
		p.net.counts.duplicates.Add(1)
		return false, nil
	}
}

func (p *Peer) takeControl(r *record) error {
	p.mu.Lock()
	ok, err := p.fresh(0, r.seq)
	p.mu.Unlock()
	if err != nil || !ok {
		return err
	}
	p.handle(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	in := &p.in[0]
	in.handled = max(in.handled, r.seq)
	in.bytes += len(r.body)
	if in.bytes >= ackBytes || in.handled-in.told >= ackCount {
		p.due.status = true
		p.changed.Broadcast()
	}
	return nil
}

func (p *Peer) handle(r *record) {
	f := p.net.handlers[r.kind]
	if f == nil && r.kind != kindReady && r.kind != kindKnown {
		p.net.counts.unknown.Add(1)
		return
	}
	switch m := wire.Decode(r.kind, r.body).(type) {
	case *wire.Unreadable:
		p.net.counts.unreadable.Add(1)
		p.net.log.Warn("a message of another node cannot be read", "node", p.member.Name, "kind", m.Kind, "error", m.Err)
	case *ready:
		p.mu.Lock()
		p.readyThere = true
		p.mu.Unlock()
		p.net.tellLink(p.member.Name, &readied{p})
	case *known:
		p.net.tellMembers(&learnt{m.Nodes})
	default:
		p.net.protect(p, r.kind, func() { f(p, m) })
	}
}

func (p *Peer) takeData(r record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ok, err := p.fresh(1, r.seq)
	if err != nil || !ok {
		return err
	}
	if p.inboxed > creditBytes+wire.MaxBody || len(p.inbox) > creditCount {
		return fmt.Errorf("%w: more data than it has credit for", errProtocol)
	}
	p.inbox = append(p.inbox, r)
	p.inboxed += len(r.body)
	return nil
}

func (p *Peer) takeLink(r *record) error {
	switch m := wire.Decode(r.kind, r.body).(type) {
	case *status:
		return p.takeStatus(m)
	case *bye:
		p.mu.Lock()
		p.said = m
		p.mu.Unlock()
		return errSaidBye
	case *wire.Unreadable:
		p.net.counts.unknown.Add(1)
		return nil
	default:
		return fmt.Errorf("%w: %T", errProtocol, m)
	}
}

func (p *Peer) takeStatus(m *status) error {
	p.net.clock.Seen(m.Stamp)
	p.mu.Lock()
	done, ok := p.out[0].acknowledge(m.Control, nil)
	done, okData := p.out[1].acknowledge(m.Data, done)
	now := time.Now()
	if m.Time > p.echo {
		p.echo, p.echoed = m.Time, now
	}
	if at := p.net.at(m.Echo); m.Echo > 0 && !at.After(now) {
		if at.After(p.confirmed) {
			p.confirmed = at
		}
		if rtt := now.Sub(at) - time.Duration(m.Held); rtt > 0 {
			p.rtt.Store(int64(rtt))
		}
	}
	if m.Bytes > 0 && m.Count > 0 {
		p.window.bytes, p.window.count = m.Bytes, m.Count
	}
	if m.Ask {
		p.due.status = true
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	for _, f := range done {
		f(nil)
	}
	if !ok || !okData {
		return fmt.Errorf("%w: it acknowledges what was not sent", errProtocol)
	}
	return nil
}
