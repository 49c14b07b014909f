package link

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"emqttd/cluster/wire"
)

//	dialler                         acceptor
//	hello  ───────────────────────▶
//	       ◀─────────────────────── hello with proof
//	join with proof ──────────────▶
//	       ◀─────────────────────── welcome
//
// or, instead of any answer, a refusal.

const (
	nonceSize = 16
	// maxName bounds the names in a hello: they are in logs, ids and maps.
	maxName = 255
	// patience is how long a hello, join or welcome may take to come.
	patience = 5 * time.Second
	// dialPatience is how long a connection may take: two attempts of TCP.
	dialPatience = 3 * time.Second
)

func (n *Net) hello() *hello {
	self := n.Self()
	h := &hello{
		Oldest: wire.Oldest, Version: wire.Version, Cluster: n.options.Cluster,
		Name: self.Name, Address: self.Address, Incarnation: self.Incarnation, Broker: self.Version,
		Nonce: make([]byte, nonceSize), Stamp: n.clock.Now(),
	}
	_, _ = rand.Read(h.Nonce) // it never fails: the program ends first
	return h
}

// check says what is wrong with a hello, before any proof.
func (n *Net) check(h *hello) error {
	self := n.Self()
	switch {
	case h.Name == "" || len(h.Name) > maxName || h.Address == "" || len(h.Address) > maxName ||
		len(h.Cluster) > maxName || len(h.Broker) > maxName || len(h.Nonce) != nonceSize:
		return refuse(Malformed, "the hello of a node cannot be right")
	case h.Cluster != n.options.Cluster:
		return refuse(WrongCluster, "%s belongs to the cluster %q, and %s to %q", h.Name, h.Cluster, self.Name, n.options.Cluster)
	case h.Name == self.Name && h.Incarnation == self.Incarnation:
		return refuse(Oneself, "")
	case h.Name == self.Name:
		return refuse(NameTaken, "a node with the name %s is running at %s and at %s", self.Name, self.Address, h.Address)
	case h.Version < wire.Oldest || h.Oldest > wire.Version:
		return refuse(NoCommonVersion, "%s reads versions %d to %d, and %s %d to %d", h.Name, h.Oldest, h.Version, self.Name, wire.Oldest, wire.Version)
	}
	return nil
}

// proof shows that its maker knows the cookie, and these two hellos.
func (n *Net) proof(role string, dialler, acceptor *hello) []byte {
	mac := hmac.New(sha256.New, []byte(n.options.Cookie))
	put := func(b []byte) {
		_ = binary.Write(mac, binary.BigEndian, uint32(len(b))) // a hash takes everything
		mac.Write(b)
	}
	put([]byte("emqttd link " + role))
	for _, h := range []*hello{dialler, acceptor} {
		put([]byte(h.Cluster))
		put([]byte(h.Name))
		put([]byte(h.Address))
		put(binary.BigEndian.AppendUint64([]byte{h.Oldest, h.Version}, h.Incarnation))
		put(h.Nonce)
	}
	return mac.Sum(nil)
}

var errCookie = &refused{reason: WrongCookie, detail: "the cookies differ"}

// say sends one message of a handshake.
func say(s wire.Stream, m wire.Message) error {
	frame, err := m.Serialize()
	if err != nil {
		return fmt.Errorf("say %T: %w", m, err)
	}
	kind, body := wire.Open(frame)
	return s.Send(appendRecord([]byte{wire.Oldest}, &record{kind: kind, body: body}))
}

// listen waits for one message of a handshake.
func listen[T wire.Message](s wire.Stream) (m T, err error) {
	b, err := s.Recv()
	if err != nil {
		return m, fmt.Errorf("it ended: %w", err)
	}
	b, err = openBatch(b)
	if err != nil {
		return m, refuse(Malformed, "%v", err)
	}
	r, _, err := nextRecord(b)
	if err != nil {
		return m, refuse(Malformed, "%v", err)
	}
	switch v := wire.Decode(r.kind, r.body).(type) {
	case T:
		return v, nil
	case *refusal:
		return m, &refused{reason: reasonOf(v.Reason), detail: fmt.Sprintf("%.200s", v.Detail), theirs: true}
	default:
		return m, refuse(Malformed, "%T where %T was expected", v, m)
	}
}

// limit closes a stream when ctx ends or after patience, unless stop is called first.
func (n *Net) limit(s wire.Stream) (stop func()) {
	ctx, cancel := context.WithTimeout(n.life, patience)
	context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.Canceled) || n.life.Err() != nil {
			s.Close()
		}
	})
	return cancel
}

// call dials an address and carries the conversation until the stream ends. It returns
// who is there, and whether it has carried anything.
func (n *Net) call(address string) (name string, streamed bool, err error) {
	ctx, cancel := context.WithTimeout(n.life, dialPatience)
	s, err := n.options.Transport.Dial(ctx, address)
	cancel()
	if err != nil {
		if errors.Is(err, wire.ErrCookie) {
			return "", false, errCookie
		}
		return "", false, err
	}
	defer s.Close()
	stop := n.limit(s)
	defer stop()
	mine := n.hello()
	theirs, err := n.greet(s, mine)
	if err != nil {
		n.tellRefusal(s, err)
		return "", false, err
	}
	d, err := n.propose(&proposal{hello: theirs, outbound: true})
	if err != nil {
		n.tellRefusal(s, err)
		return theirs.Name, false, err
	}
	defer func() { d.giveBack() }()
	j := &join{Proof: n.proof("dialler", mine, theirs), Conversation: d.conversation, Control: d.received[0], Data: d.received[1], Stamp: n.clock.Now()}
	if err := say(s, j); err != nil {
		return theirs.Name, false, err
	}
	w, err := listen[*welcome](s)
	if err != nil {
		return theirs.Name, false, err
	}
	if w.Conversation != d.conversation || d.peer == nil {
		d.giveBack()
		if d, err = n.propose(&proposal{hello: theirs, outbound: true, welcome: w}); err != nil {
			return theirs.Name, false, err
		}
	}
	stop()
	err = d.run(s, [lanes]uint64{w.Control, w.Data})
	return theirs.Name, !errors.Is(err, errStale), err
}

// greet is the first half of a call: who is there, and does it know the cookie?
func (n *Net) greet(s wire.Stream, mine *hello) (*hello, error) {
	if err := say(s, mine); err != nil {
		return nil, err
	}
	theirs, err := listen[*hello](s)
	if err != nil {
		return nil, err
	}
	if err := n.check(theirs); err != nil {
		return nil, err
	}
	if !hmac.Equal(theirs.Proof, n.proof("acceptor", mine, theirs)) {
		return nil, errCookie
	}
	n.clock.Seen(theirs.Stamp)
	return theirs, nil
}

// Accept takes a stream that another node has opened, and carries what comes by it
// until it ends. Give it to wire.Options.Accept.
func (n *Net) Accept(s wire.Stream) {
	defer s.Close()
	if !n.enter() {
		turnAway(s)
		return
	}
	defer n.running.Done()
	h, err := n.answer(s)
	if err == nil {
		return
	}
	var r *refused
	if errors.As(err, &r) {
		if !r.theirs {
			n.tellRefusal(s, err)
		}
		n.note(h, err)
	}
}

// TurnAway refuses a stream, for a node that runs but is not ready for others: they know
// then that a conversation with an earlier process is over.
func TurnAway(s wire.Stream) {
	defer s.Close()
	turnAway(s)
}

func turnAway(s wire.Stream) {
	_ = say(s, &refusal{Reason: Away.String(), Detail: "the node is starting or stopping"}) // it is lost, or comes again
}

func (n *Net) answer(s wire.Stream) (*hello, error) {
	stop := n.limit(s)
	defer stop()
	theirs, err := listen[*hello](s)
	if err != nil {
		return nil, err
	}
	if err := n.check(theirs); err != nil {
		return theirs, err
	}
	mine := n.hello()
	mine.Proof = n.proof("acceptor", theirs, mine)
	if err := say(s, mine); err != nil {
		return theirs, err
	}
	j, err := listen[*join](s)
	if err != nil {
		return theirs, err
	}
	if !hmac.Equal(j.Proof, n.proof("dialler", theirs, mine)) {
		return theirs, errCookie
	}
	n.clock.Seen(j.Stamp)
	d, err := n.propose(&proposal{hello: theirs, join: j})
	if err != nil {
		return theirs, err
	}
	defer func() { d.giveBack() }()
	w := &welcome{Conversation: d.conversation, Control: d.received[0], Data: d.received[1]}
	if err := say(s, w); err != nil {
		return theirs, err
	}
	stop()
	return theirs, d.run(s, [lanes]uint64{j.Control, j.Data})
}

// tellRefusal lets the other side know why, and gives it the time to read it.
func (n *Net) tellRefusal(s wire.Stream, err error) {
	var r *refused
	if !errors.As(err, &r) || r.theirs {
		return
	}
	if say(s, &refusal{Reason: r.reason.String(), Detail: r.detail}) == nil {
		stop := n.limit(s)
		defer stop()
		_, _ = s.Recv() // it closes when it has read
	}
}
