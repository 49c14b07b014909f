package sim

import (
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// roamer is a client identifier that connects now to one node and now to another, often
// without having left the one before, and sometimes to two at once.
type roamer struct {
	play *play
	id   string

	mu    sync.Mutex
	lines []*line
}

func (r *roamer) topic() string { return "roam/" + r.id }

// connect takes the session over to a node.
func (r *roamer) connect(at *place) (*line, error) {
	i := at.now()
	if i == nil {
		return nil, errClosed
	}
	l, err := dial(i, &mqtt.Connect{Version: mqtt.V311, ClientID: r.id}, r.play.arrive)
	if err != nil {
		return nil, err
	}
	if err := l.subscribe(r.topic(), protocol.AtLeastOnce); err != nil {
		l.close()
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l)
	return l, nil
}

// run roams until the disturbance is over.
func (r *roamer) run() {
	p := r.play
	rng := p.rng("roamer " + r.id)
	for {
		at, and := p.places[rng.IntN(len(p.places))], p.places[rng.IntN(len(p.places))]
		var both sync.WaitGroup
		both.Go(func() { _, _ = r.connect(at) }) // the node may be dead, or the other one win
		if rng.IntN(3) == 0 {
			both.Go(func() { _, _ = r.connect(and) })
		}
		both.Wait()
		if rng.IntN(3) == 0 {
			r.leave()
		}
		if p.pause(time.Duration(rng.IntN(3000)) * time.Millisecond) {
			return
		}
	}
}

// leave ends all connections there are.
func (r *roamer) leave() {
	r.mu.Lock()
	lines := r.lines
	r.lines = nil
	r.mu.Unlock()
	for _, l := range lines {
		l.leave()
	}
}

// alive are the connections that no node has closed.
func (r *roamer) alive() (open []*line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		select {
		case <-l.closed:
		default:
			open = append(open, l)
		}
	}
	return open
}

// expectOne is asked when all is healed: of the connections that islands have let in
// one is left, and what is published anywhere arrives there once.
func (r *roamer) expectOne() []*message {
	p := r.play
	if open := r.alive(); len(open) > 1 {
		p.fail("%s is connected %d times: %v", r.id, len(open), open)
	}
	if _, err := r.connect(p.places[0]); err != nil {
		p.fail("%s cannot connect to %s: %v", r.id, p.places[0].name, err)
		return nil
	}
	synctest.Wait() // whose session was taken over is told at the same time as the new one
	if open := r.alive(); len(open) != 1 {
		p.fail("after its last CONNECT %s is connected %d times: %v", r.id, len(open), open)
	}
	var all []*message
	for _, at := range p.places {
		l, err := dial(at.now(), &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "finder-" + at.name + r.id}, nil)
		if err != nil {
			p.fail("no client can connect to %s: %v", at.name, err)
			continue
		}
		m := p.send(fmt.Sprintf("find-%s-%s", at.name, r.id), protocol.AtLeastOnce, nil, at.now())
		all = append(all, m)
		if err := l.publish(r.topic(), m.payload, m.qos); err != nil {
			p.fail("%s does not take messages: %v", at.name, err)
		}
		l.leave()
	}
	return all
}
