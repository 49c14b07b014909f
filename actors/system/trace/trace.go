// Package trace follows single clients, topics and addresses, and single messages.
//
// A trace writes what it sees to a file of its own: each packet of its client in
// one line, each message of its topic with its publisher. Every message that a
// trace sees gets a tag, under which is remembered what became of it (Story).
//
// While there is no trace, those who might tell of something look at one atomic
// pointer; with one, at a map too. So tracing one client costs the others nothing
// that can be measured.
package trace

import (
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/protocol"
)

// Kind is what a trace follows.
type Kind string

// The kinds.
const (
	Client Kind = "client" // by client identifier
	Topic  Kind = "topic"  // by exactly this topic of messages
	IP     Kind = "ip"     // by address of the peer
)

// Errors of Start and Stop.
var (
	ErrExisted  = errors.New("existed")
	ErrNotFound = errors.New("not_found")
)

// Entry is a trace that runs.
type Entry struct {
	Kind Kind
	What string
	File string
}

// Tracer has the traces of a node. The zero value is ready, without any. All
// methods may be called by any goroutine.
type Tracer struct {
	active atomic.Pointer[active] // nil: nothing is traced

	mu      sync.Mutex // of those who change what is traced
	files   map[Entry]*file
	spans   Spans
	stories stories
}

// active is what is traced: a snapshot that nobody changes.
type active struct {
	clients, topics, ips map[string]*file
	spans                Spans
}

// On tells whether anything is traced.
func (t *Tracer) On() bool { return t.active.Load() != nil }

// Start begins a trace into a file, to which it appends.
func (t *Tracer) Start(kind Kind, what, path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range t.files {
		if e.Kind == kind && e.What == what {
			return ErrExisted
		}
	}
	f, err := openFile(path)
	if err != nil {
		return err
	}
	if t.files == nil {
		t.files = make(map[Entry]*file)
	}
	t.files[Entry{kind, what, path}] = f
	t.publish()
	return nil
}

// Stop ends a trace.
func (t *Tracer) Stop(kind Kind, what string) error {
	return t.stop(func(e Entry) bool { return e.Kind == kind && e.What == what })
}

// Close ends all traces.
func (t *Tracer) Close() error {
	err := t.stop(func(Entry) bool { return true })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (t *Tracer) stop(which func(Entry) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var gone []*file
	for e, f := range t.files {
		if which(e) {
			gone = append(gone, f)
			delete(t.files, e)
		}
	}
	if len(gone) == 0 {
		return ErrNotFound
	}
	t.publish()
	var err error
	for _, f := range gone {
		err = errors.Join(err, f.close())
	}
	return err
}

// List returns the traces by kind and name.
func (t *Tracer) List() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Entry, 0, len(t.files))
	for e := range t.files {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Kind != list[j].Kind {
			return list[i].Kind < list[j].Kind
		}
		return list[i].What < list[j].What
	})
	return list
}

// publish makes what is traced now the snapshot.
func (t *Tracer) publish() {
	if len(t.files) == 0 && t.spans == nil {
		t.active.Store(nil)
		return
	}
	a := &active{map[string]*file{}, map[string]*file{}, map[string]*file{}, t.spans}
	for e, f := range t.files {
		a.of(e.Kind)[e.What] = f
	}
	t.active.Store(a)
}

func (a *active) of(k Kind) map[string]*file {
	switch k {
	case Client:
		return a.clients
	case Topic:
		return a.topics
	default:
		return a.ips
	}
}

// Tap is where what is seen of one client goes.
type Tap struct {
	t     *Tracer
	files [2]*file // of its identifier and its address; nil for none
	who   string
}

// Tap returns the tap of a client, nil if it is not traced.
func (t *Tracer) Tap(client protocol.ClientID, ip string) *Tap {
	a := t.active.Load()
	if a == nil {
		return nil
	}
	return a.tap(t, client, ip)
}

func (a *active) tap(t *Tracer, client protocol.ClientID, ip string) *Tap {
	files := [2]*file{a.clients[client], a.ips[ip]}
	if files[0] == nil && files[1] == nil {
		return nil
	}
	return &Tap{t: t, files: files, who: "client " + quote(client) + " " + ip + ": "}
}

// Say writes a line about the client.
func (p *Tap) Say(text string) {
	for _, f := range p.files {
		if f != nil {
			f.line(time.Now(), p.who+text)
		}
	}
}

// Tag gives a message of the client a tag, before it is published, and says which:
// explain message asks for it.
func (p *Tap) Tag(m *protocol.Message) {
	if m.Tag == 0 {
		m.Tag = p.t.stories.begin(m, nil)
	}
	p.Say("published " + describe(m))
}

// Published is told of every message before it is matched, while On. It tags
// those that are traced.
func (t *Tracer) Published(m *protocol.Message) {
	a := t.active.Load()
	if a == nil {
		return
	}
	f := a.topics[string(m.Topic)]
	if m.Tag == 0 && (f != nil || a.clients[m.From] != nil) {
		m.Tag = t.stories.begin(m, nil)
	}
	if a.spans != nil {
		if span := a.spans.Published(m); span != nil {
			if m.Tag == 0 {
				m.Tag = t.stories.begin(m, span)
			} else {
				t.stories.attach(m.Tag, span)
			}
		}
	}
	if f != nil {
		f.line(time.Now(), "client "+quote(m.From)+": PUBLISH "+describe(m))
	}
}

// describe is a message in one line. Its payload is nobody's business.
func describe(m *protocol.Message) string {
	retain := 0
	if m.Retain {
		retain = 1
	}
	return fmt.Sprintf("topic=%s qos=%d retain=%d payload=%d bytes tag=%s", quote(string(m.Topic)), m.QoS, retain, len(m.Payload), TagText(m.Tag))
}
