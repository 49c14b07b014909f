package sessions

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
	"emqttd/protocol/mqtt"
)

// roamer is a client that wanders between nodes, keeps its side of MQTT, and knows
// what it has got.
type roamer struct {
	w   *world
	id  string
	mu  sync.Mutex
	now *visit
	gen uint64
	// of the client's session: what it may not take twice
	taken map[protocol.PacketID]bool
	got   []string
}

// visit is one connection of a roamer: a process, and an outbox.
type visit struct {
	r       *roamer
	n       *node
	pid     *actor.PID
	gen     uint64
	session *actor.PID
	early   []InputItem // acknowledgements before the session is known
	present bool
	over    chan struct{} // closed when it has ended one way or another
	ended   any
	in      chan struct{} // closed when it is attached
}

func (v *visit) SendSystemMessage(*actor.PID, any) {}
func (v *visit) Stop(*actor.PID)                   {}
func (v *visit) Room() int                         { return 1 << 20 }

func (v *visit) SendUserMessage(_ *actor.PID, m any) {
	v.r.mu.Lock()
	defer v.r.mu.Unlock()
	switch m := actor.UnwrapEnvelopeMessage(m).(type) {
	case *Attached:
		v.session, v.present = m.Session, m.SessionPresent
		close(v.in)
		v.answer(v.early)
		v.early = nil
	case *TakenOver, *Refused, *Down, *Ended:
		v.ended = m
		close(v.over)
	}
}

func (v *visit) answer(items []InputItem) {
	if len(items) == 0 {
		return
	}
	in := NewInput(nil, v.gen)
	in.Items = append(in.Items, items...)
	v.n.send(v.session, in)
}

// Send takes Control Packets, and answers them after a while.
func (v *visit) Send(p []byte) int {
	v.r.mu.Lock()
	defer v.r.mu.Unlock()
	if v.r.now != v || v.ended != nil {
		return 1 << 20 // the socket is closed
	}
	var items []InputItem
	for len(p) > 0 {
		h, n, _ := mqtt.ParseHeader(p, 0)
		body := p[n : n+h.Remaining]
		p = p[n+h.Remaining:]
		items = append(items, v.r.take(h, body)...)
	}
	if len(items) == 0 {
		return 1 << 20
	}
	time.AfterFunc(time.Duration(rand.IntN(5))*time.Millisecond, func() {
		v.r.mu.Lock()
		defer v.r.mu.Unlock()
		if v.session == nil {
			v.early = append(v.early, items...)
		} else {
			v.answer(items)
		}
	})
	return 1 << 20
}

func (r *roamer) take(h mqtt.Header, body []byte) []InputItem {
	switch h.Type {
	case mqtt.PUBLISH:
		var m mqtt.Publish
		must(r.w.t, m.Decode(h, body, mqtt.V311))
		if m.QoS == 2 {
			if !r.taken[m.PacketID] {
				r.taken[m.PacketID] = true
				r.got = append(r.got, string(m.Payload))
			}
			return []InputItem{{Type: mqtt.PUBREC, ID: m.PacketID}}
		}
		r.got = append(r.got, string(m.Payload))
		if m.QoS == 1 {
			return []InputItem{{Type: mqtt.PUBACK, ID: m.PacketID}}
		}
	case mqtt.PUBREL:
		var m mqtt.Ack
		must(r.w.t, m.Decode(h, body, mqtt.V311))
		delete(r.taken, m.ID)
		return []InputItem{{Type: mqtt.PUBCOMP, ID: m.ID}}
	}
	return nil
}

// visit connects at a node, where the session is at from.
func (r *roamer) visit(n *node, from *actor.PID, f func(*Attach)) *visit {
	r.gen++
	v := &visit{r: r, n: n, gen: r.gen, over: make(chan struct{}), in: make(chan struct{})}
	v.pid, _ = n.system.ProcessRegistry.Add(v, "test/"+r.id+strconv.FormatUint(r.gen, 10))
	a := hello(&fakeConn{pid: v.pid}, r.id, r.gen, 3600)
	a.Outbox = v
	if f != nil {
		f(a)
	}
	r.mu.Lock()
	r.now = v
	r.mu.Unlock()
	switch {
	case from != nil && from.Address == n.system.Address():
		n.send(from, a)
	default:
		a.From = from
		n.send(n.shards.For(r.id), &kernel.Spawn{Props: n.rt.Props(), First: a})
	}
	return v
}

// joined waits for the session, and fails if there is none.
func (v *visit) joined() *actor.PID {
	v.r.w.t.Helper()
	select {
	case <-v.in:
	case <-v.over:
		v.r.w.t.Fatalf("the visit of %s at %s ended with %T", v.r.id, v.n.net.Self().Name, v.ended)
	case <-time.After(time.Minute):
		v.r.w.t.Fatalf("the visit of %s at %s came to nothing", v.r.id, v.n.net.Self().Name)
	}
	return v.session
}

// talk publishes numbered messages on a node until stop is closed, and returns how
// many.
func (n *node) talk(topic string, q protocol.QoS, stop chan struct{}, wait func()) int {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return i
		default:
		}
		n.say(topic, fmt.Sprintf("%s:%d", topic, i), q)
		wait()
	}
}

// judge checks what the client got of a publisher that has sent n messages.
func (r *roamer) judge(topic string, n int, q protocol.QoS) {
	r.w.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, next := make(map[int]bool), 0
	for _, p := range r.got {
		name, number, _ := strings.Cut(p, ":")
		if name != topic {
			continue
		}
		i, _ := strconv.Atoi(number)
		switch {
		case seen[i] && q == 2:
			r.w.t.Errorf("%s came twice at QoS 2", p)
		case seen[i]:
		case i != next:
			r.w.t.Errorf("%s came where %d was to come", p, next)
			fallthrough
		default:
			next = i + 1
		}
		seen[i] = true
	}
	if len(seen) != n {
		r.w.t.Errorf("of %d messages of %s %d came", n, topic, len(seen))
	}
}

// TestNothingIsLostDoubledOrReorderedWhileAClientRoams has three publishers, one on
// each node, send to a client that changes nodes all the time.
func TestNothingIsLostDoubledOrReorderedWhileAClientRoams(t *testing.T) {
	moves := 200
	if testing.Short() {
		moves = 50
	}
	both(t, func(t *testing.T, o worldOptions) {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("slow=%t", slow), func(t *testing.T) {
				o.nodes = []string{"a", "b", "c"}
				o.limits = delivery.Limits{MaxInflight: 8, StoreQoS0: true}
				n := moves
				if slow {
					n /= 4
					o.hold = stutter
				}
				inWorld(t, o, func(w *world) { roam(w, n) })
			})
		}
	})
}

// stutter holds some messages up, and those behind them, so that the lanes between
// nodes are out of step by more than a take-over takes. It must not be more than the
// publishers, who do not wait for anybody, leave time for.
func stutter(string, string) {
	if rand.IntN(100) == 0 {
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
}

func roam(w *world, moves int) {
	r := &roamer{w: w, id: "c", taken: make(map[protocol.PacketID]bool)}
	home := r.visit(w.nodes[0], nil, nil)
	s := home.joined()
	w.nodes[0].send(s, &Subscribe{Generation: 1, ID: 1, Requests: []Request{request("one/+", 1), request("two/#", 2), request("two/b", 2)}})
	time.Sleep(time.Second)
	stop := make(chan struct{})
	var talking sync.WaitGroup
	sent := make([]int, 6)
	for i, n := range w.nodes {
		for q := protocol.QoS(1); q <= 2; q++ {
			talking.Go(func() {
				sent[2*i+int(q)-1] = n.talk(topicOf(i, q), q, stop, func() { time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond) })
			})
		}
	}
	end := sync.OnceFunc(func() {
		close(stop)
		talking.Wait()
	})
	defer end()
	for range moves {
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		at := r.now
		next := w.nodes[rand.IntN(len(w.nodes))]
		s = r.visit(next, s, nil).joined()
		if !r.now.present {
			w.t.Error("the session was not there any more")
		}
		<-at.over
	}
	end()
	time.Sleep(time.Minute)
	for i := range w.nodes {
		for q := protocol.QoS(1); q <= 2; q++ {
			r.judge(topicOf(i, q), sent[2*i+int(q)-1], q)
		}
	}
}

func topicOf(node int, q protocol.QoS) string {
	return [...]string{"", "one/", "two/"}[q] + string(rune('a'+node))
}
