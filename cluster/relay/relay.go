// Package relay asks other nodes what operators want to know of them, and tells
// them what operators did.
//
//	Ask(node, method, body) ── pieces ──▶ Serve's function for the method
//	                        ◀── pieces ──
//
// Questions and answers are bytes here; who serves a method knows what they mean.
// They come from people and scripts: at most maxRunning run on a node at a time,
// more are refused. A question that nobody waits for any more is cancelled, and
// one whose node goes down fails at once.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// maxRunning is how many questions of others a node answers at a time.
const maxRunning = 32

// Errors of Ask. Other ones come from the function that was asked.
var (
	ErrNoNode = errors.New("no such node, or it is down")
	ErrEnded  = errors.New("the node went down")
	ErrBusy   = errors.New("too many questions at one time")
	errLong   = errors.New("too long")
	errMethod = errors.New("the node does not know how: is it another version?")
)

// Func answers a question. It runs on a goroutine of its own and may block until
// ctx is over: then nobody waits for the answer. body is its own.
type Func func(ctx context.Context, body []byte) ([]byte, error)

// Relay is one node's side. Its methods may be called from any goroutine.
type Relay struct {
	net     cluster.Net
	log     *slog.Logger
	methods map[string]Func
	slots   chan struct{}

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waiting // what this node has asked
	theirs  map[from]*their     // what others have
}

type waiting struct {
	peer   cluster.Peer
	body   []byte
	answer chan reply // has room for one
}

type reply struct {
	body []byte
	err  error
}

// from names a question of another node.
type from struct {
	peer cluster.Peer
	id   uint64
}

type their struct {
	what   what
	method string
	body   []byte
	stop   context.CancelFunc // nil until it runs
}

// New adds a Relay to the net, which has not started. Call Serve before it does.
func New(net cluster.Net, log *slog.Logger) *Relay {
	r := &Relay{
		net: net, log: log, methods: map[string]Func{}, slots: make(chan struct{}, maxRunning),
		waiting: map[uint64]*waiting{}, theirs: map[from]*their{},
	}
	net.Handle(wire.KindAdmin, r.receive)
	net.Add(r)
	return r
}

// Serve has f answer the questions of a method.
func (r *Relay) Serve(method string, f Func) { r.methods[method] = f }

// Ask asks another node and waits for the answer or the end of ctx.
func (r *Relay) Ask(ctx context.Context, node, method string, body []byte) ([]byte, error) {
	peer := r.peer(node)
	if peer == nil {
		return nil, ErrNoNode
	}
	w := &waiting{peer: peer, answer: make(chan reply, 1)}
	r.mu.Lock()
	r.last++
	id := r.last
	r.waiting[id] = w
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, id)
		r.mu.Unlock()
	}()
	if r.peer(node) != peer { // it may have ended before there was anything to fail
		return nil, ErrEnded
	}
	pieces(part{What: question, ID: id, Method: method, Body: body}, func(p *part) { peer.Send(p) })
	select {
	case a := <-w.answer:
		return a.body, a.err
	case <-ctx.Done():
		peer.Send(&part{What: cancel, ID: id})
		return nil, ctx.Err()
	}
}

// Tell tells all other nodes something that they do not answer.
func (r *Relay) Tell(method string, body []byte) {
	r.mu.Lock()
	r.last++
	id := r.last
	r.mu.Unlock()
	for _, peer := range r.net.Peers() {
		pieces(part{What: news, ID: id, Method: method, Body: body}, func(p *part) { peer.Send(p) })
	}
}

func (r *Relay) peer(node string) cluster.Peer {
	for _, p := range r.net.Peers() {
		if p.Member().Name == node {
			return p
		}
	}
	return nil
}

// Begin implements cluster.Service.
func (r *Relay) Begin(_ cluster.Peer, ready func()) { ready() }

// End implements cluster.Service.
func (r *Relay) End(p cluster.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, w := range r.waiting {
		if w.peer == p {
			delete(r.waiting, id)
			w.answer <- reply{err: ErrEnded}
		}
	}
	for at, t := range r.theirs {
		if at.peer == p {
			r.drop(at, t)
		}
	}
}

// drop ends a question of another node. r.mu is held.
func (r *Relay) drop(at from, t *their) {
	delete(r.theirs, at)
	if t.stop != nil {
		t.stop()
	}
}

func (r *Relay) receive(p cluster.Peer, m wire.Message) {
	piece, ok := m.(*part)
	if !ok {
		r.log.Warn("a question of another node cannot be read", "node", p.Member().Name, "message", fmt.Sprintf("%.80v", m))
		return
	}
	at := from{p, piece.ID}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch piece.What {
	case answer:
		r.onAnswer(p, piece)
	case question, news:
		r.onQuestion(at, piece)
	case cancel:
		if t := r.theirs[at]; t != nil {
			r.drop(at, t)
		}
	}
}

// onAnswer collects the pieces of an answer. r.mu is held.
func (r *Relay) onAnswer(p cluster.Peer, piece *part) {
	w := r.waiting[piece.ID]
	if w == nil || w.peer != p {
		return // it took too long
	}
	w.body = append(w.body, piece.Body...)
	a := reply{body: w.body}
	switch {
	case len(w.body) > maxBody:
		a = reply{err: errLong}
	case piece.More:
		return
	case piece.Error != "":
		a = reply{err: errors.New(piece.Error)}
	}
	delete(r.waiting, piece.ID)
	w.answer <- a
}

// onQuestion collects the pieces of a question, and has it answered. r.mu is held.
func (r *Relay) onQuestion(at from, piece *part) {
	t := r.theirs[at]
	if t == nil {
		if piece.Method == "" {
			return // the rest of one that was cancelled
		}
		t = &their{what: piece.What, method: piece.Method}
		r.theirs[at] = t
	}
	t.body = append(t.body, piece.Body...)
	f := r.methods[t.method]
	switch {
	case f == nil:
		r.refuse(at, t, errMethod)
		return
	case len(t.body) > maxBody:
		r.refuse(at, t, errLong)
		return
	case piece.More:
		return
	}
	select {
	case r.slots <- struct{}{}:
	default:
		r.refuse(at, t, ErrBusy)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	go r.run(ctx, at, t, f)
}

// refuse answers that there is no answer. r.mu is held.
func (r *Relay) refuse(at from, t *their, err error) {
	r.drop(at, t)
	if t.what == question {
		at.peer.Send(&part{What: answer, ID: at.id, Error: err.Error()})
	}
}

func (r *Relay) run(ctx context.Context, at from, t *their, f Func) {
	defer func() { <-r.slots }()
	body, err := safely(ctx, f, t.body)
	r.mu.Lock()
	wanted := r.theirs[at] == t
	if wanted {
		r.drop(at, t)
	}
	r.mu.Unlock()
	if !wanted || t.what == news {
		return
	}
	p := part{What: answer, ID: at.id, Body: body}
	if err != nil {
		p = part{What: answer, ID: at.id, Error: err.Error()}
	}
	pieces(p, func(p *part) { at.peer.Send(p) })
}

// safely makes an error of a panic: it would end the process.
func safely(ctx context.Context, f Func, body []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return f(ctx, body)
}
