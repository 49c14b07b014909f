package delivery

import "emqttd/protocol"

// Held is a message that a State holds, as operators see it.
type Held struct {
	Message *protocol.Message // not to be changed; nil from PUBREC on
	QoS     protocol.QoS      // at which the client gets it
	ID      protocol.PacketID // of a flight
	Phase   Phase             // of a flight
	Sent    int64             // Unix milliseconds; 0: not yet on this connection
}

// Contents are the messages of a State: those on their way in the order in which
// they were sent, and the first of those that wait in the order in which they will
// be. Waiting is how many do, those on disk included.
type Contents struct {
	Flights, Queue []Held
	Waiting        int
}

// Contents looks at no more than limit messages of each kind.
func (s *State) Contents(limit int) (c Contents) {
	if s.traffic == nil {
		return c
	}
	for i := 0; i < s.window.n && len(c.Flights) < limit; i++ {
		if f := s.window.at(i); f.phase != acked {
			c.Flights = append(c.Flights, Held{Message: f.msg, QoS: f.qos, ID: f.id, Phase: Phase(f.phase), Sent: f.sent})
		}
	}
	c.Waiting = s.queue.n + len(s.replay)
	for i := 0; i < len(s.replay) && len(c.Queue) < limit; i++ {
		c.Queue = append(c.Queue, Held{Message: s.replay[i].msg, QoS: s.replay[i].qos})
	}
	for i := range s.queue.levels {
		r := &s.queue.levels[i].ring
		for j := 0; j < r.n && len(c.Queue) < limit; j++ {
			it := &r.items[(r.head+j)&(len(r.items)-1)]
			c.Queue = append(c.Queue, Held{Message: it.msg, QoS: it.qos})
		}
	}
	return c
}
