package sim

import (
	"fmt"
	"sync"
	"time"

	"emqttd/cluster"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// play is what happens in a world while it is disturbed.
type play struct {
	*world
	subscribers []*subscriber
	quit        chan struct{} // closed when the disturbance is over
	actors      sync.WaitGroup
	checks      sync.WaitGroup // of messages that must have arrived by then

	mu   sync.Mutex
	sent map[string]*message // by payload
}

// message is one PUBLISH.
type message struct {
	payload string
	qos     protocol.QoS
	to      *subscriber
	from    *instance
	arrived int
}

// subscriber is a client that stays at its node and comes back to it when that was
// killed.
type subscriber struct {
	play *play
	id   string
	home *place

	mu     sync.Mutex
	line   *line                // nil while it has not subscribed
	since  time.Time            // when its SUBACK came
	fenced map[string]time.Time // nodes for which that waited, and since when they were members
}

func (s *subscriber) topic() string { return "to/" + s.id + "/x" }

// at is the life of the node at which it listens now.
func (s *subscriber) at() *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.line
}

// run keeps the subscriber connected until the end of the world.
func (s *subscriber) run(over <-chan struct{}) {
	for {
		if i := s.home.now(); i != nil {
			hello := &mqtt.Connect{Version: mqtt.V311, ClientID: s.id}
			before := i.Net().View().Epoch
			l, err := dial(i, hello, s.play.arrive)
			if err == nil && l.subscribe("to/"+s.id+"/#", protocol.ExactlyOnce) == nil {
				s.set(l, before)
				select {
				case <-l.closed:
				case <-over:
					l.leave()
					return
				}
				s.set(nil, 0)
				if i == s.home.now() {
					s.play.fail("%s has lost its connection to %s, which lives", s.id, s.home.name)
				}
			} else if err == nil {
				l.close()
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-over:
			return
		}
	}
}

// set notes that it has subscribed, and who knew of it by then: the SUBACK has waited for
// those that were up and not suspect all the time.
func (s *subscriber) set(l *line, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line, s.since, s.fenced = l, time.Now(), map[string]time.Time{}
	if l == nil || l.at.Net().View().Epoch != epoch {
		return
	}
	for _, info := range l.at.Net().Info() {
		if info.State == cluster.Up {
			s.fenced[info.Name] = info.Since
		}
	}
}

// known tells whether a node must know of the subscription: the SUBACK has waited for
// it, or it has been told before it became a member.
func (s *subscriber) known(l *line, to *instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	member := l.at.sees(to)
	return s.line == l && (l.at == to || member.After(s.since) || !member.IsZero() && member.Equal(s.fenced[to.place.name]))
}

// arrive notes a message that a subscriber got. All of them are sent once.
func (p *play) arrive(m *mqtt.Publish) {
	payload := string(m.Payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent[payload]
	if sent == nil {
		p.fail("%q arrived and was never sent", payload)
		return
	}
	if sent.arrived++; sent.arrived > 1 {
		p.fail("%q of QoS %d arrived %d times", payload, sent.qos, sent.arrived)
	}
}

func (p *play) send(payload string, qos protocol.QoS, to *subscriber, from *instance) *message {
	m := &message{payload: payload, qos: qos, to: to, from: from}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[payload] = m
	return m
}

func (p *play) arrivals(m *message) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.arrived
}

// publish has a client at a node send messages until the disturbance is over.
func (p *play) publish(at *place, n int) {
	rng := p.rng(fmt.Sprintf("publisher %d of %s", n, at.name))
	for seq := 0; ; {
		var l *line
		if i := at.now(); i != nil {
			l, _ = dial(i, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: fmt.Sprintf("publisher-%s-%d", at.name, n)}, nil)
		}
		for l != nil {
			to := p.subscribers[rng.IntN(len(p.subscribers))]
			payload := fmt.Sprintf("%s-%d-%d", at.name, n, seq)
			seq++
			if !p.tell(l, payload, protocol.QoS(1+rng.IntN(2)), to) {
				l.close()
				break
			}
			if p.pause(time.Duration(rng.IntN(100)) * time.Millisecond) {
				l.leave()
				return
			}
		}
		if p.pause(200 * time.Millisecond) {
			return
		}
	}
}

func (p *play) pause(d time.Duration) (over bool) {
	select {
	case <-p.quit:
		return true
	case <-time.After(d):
		return false
	}
}

// settled is how long after its PUBACK a message is on its way at most, if the two
// nodes have kept their conversation: they were cut for less than eight seconds.
const settled = 20 * time.Second

// tell sends one message. If both ends and what is between them have been the same
// from before it was sent until it was settled, it must have arrived.
func (p *play) tell(l *line, payload string, qos protocol.QoS, to *subscriber) bool {
	listens := to.at()
	var before any
	if listens != nil && to.known(listens, l.at) {
		before = conversation(l.at, listens.at)
	}
	m := p.send(payload, qos, to, l.at)
	if l.publish(to.topic(), payload, qos) != nil {
		return false
	}
	if before == nil {
		return true
	}
	acknowledged := time.Since(p.begin)
	p.checks.Go(func() {
		time.Sleep(settled)
		if p.arrivals(m) == 0 && to.at() == listens && conversation(l.at, listens.at) == before {
			p.fail("%q of QoS %d, from %s for %s at %s, acknowledged at %v, did not arrive", payload, qos, l.at.place.name, to.id, to.home.name, acknowledged)
		}
	})
	return true
}

// disturb does what the seed says for a while, and undoes it.
func (p *play) disturb(length time.Duration) {
	rng := p.rng("disturbance")
	var healing sync.WaitGroup
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(time.Duration(200+rng.IntN(4000)) * time.Millisecond)
		a := rng.IntN(len(p.places))
		b := (a + 1 + rng.IntN(len(p.places)-1)) % len(p.places)
		from, to := p.places[a], p.places[b]
		length := time.Duration(rng.IntN(6000)) * time.Millisecond
		if rng.IntN(3) == 0 {
			length *= 3 // longer than it takes to be down
		}
		switch rng.IntN(6) {
		case 0:
			p.note("streams of %s and %s break", from.name, to.name)
			p.network.Break(from.address, to.address)
		case 1:
			p.note("cut from %s to %s for %v", from.name, to.name, length)
			p.network.Cut(from.address, to.address)
			healing.Go(func() {
				time.Sleep(length)
				p.note("healed from %s to %s", from.name, to.name)
				p.network.Heal(from.address, to.address)
			})
		case 2:
			p.note("cut between %s and %s for %v", from.name, to.name, length)
			p.network.Cut(from.address, to.address)
			p.network.Cut(to.address, from.address)
			healing.Go(func() {
				time.Sleep(length)
				p.note("healed between %s and %s", from.name, to.name)
				p.network.Heal(from.address, to.address)
				p.network.Heal(to.address, from.address)
			})
		case 3:
			if from.now() == nil {
				continue
			}
			from.kill()
			healing.Go(func() {
				time.Sleep(length)
				from.start()
			})
		case 4:
			p.slow(time.Duration(1+rng.IntN(200)) * time.Millisecond)
		case 5:
			p.island(from, length, &healing)
		}
	}
	healing.Wait()
	p.slow(2 * time.Millisecond)
}

// island cuts a node off from all others.
func (p *play) island(alone *place, length time.Duration, healing *sync.WaitGroup) {
	p.note("%s is cut off for %v", alone.name, length)
	each := func(f func(from, to string)) {
		for _, other := range p.places {
			if other != alone {
				f(alone.address, other.address)
				f(other.address, alone.address)
			}
		}
	}
	each(p.network.Cut)
	healing.Go(func() {
		time.Sleep(length)
		p.note("%s is not cut off any more", alone.name)
		each(p.network.Heal)
	})
}

func (w *world) slow(most time.Duration) {
	w.note("messages take up to %v", most)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = most
}
