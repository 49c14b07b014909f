// Package presence says under $SYS/brokers/<node>/clients/<id> who comes and who
// goes (EMQ's emq_mod_presence). Connections tell it; it publishes at once, on
// their goroutine, and keeps nothing.
package presence

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Client is who comes or goes.
type Client struct {
	ID, Username, IP string
	Clean            bool
	Version          byte // protocol level: 3, 4 or 5
}

// Options of a Publisher.
type Options struct {
	Node string
	QoS  protocol.QoS
	// Publish publishes a message. It must not block.
	Publish func(*protocol.Message)
}

// Publisher tells of clients. All methods may be called by any goroutine.
type Publisher struct{ o Options }

// New returns a publisher.
func New(o Options) *Publisher { return &Publisher{o} }

// Switch holds the publisher of a node, or none: then a client that comes or goes
// costs one load. The zero value is off.
type Switch struct {
	p   atomic.Pointer[Publisher]
	tap Tap
}

// Tap is told what a Publisher is told, while somebody listens. Its functions are
// called on the goroutine of the connection and must not block.
type Tap interface {
	// Idle tells whether nobody listens.
	Idle() bool
	Connected(c *Client)
	Disconnected(id, username, reason string)
}

// SetTap sets the one tap. It is called before the switch is used.
func (s *Switch) SetTap(t Tap) { s.tap = t }

func (s *Switch) tapped() bool { return s.tap != nil && !s.tap.Idle() }

// Set switches presence on, or off with nil.
func (s *Switch) Set(p *Publisher) { s.p.Store(p) }

// Connected tells of a CONNECT that was answered with connack: 0 is a client that
// has come, anything else one that was refused.
func (s *Switch) Connected(c *Client, connack byte) {
	if p := s.p.Load(); p != nil {
		p.connected(c, connack)
	}
	if connack == 0 && s.tapped() {
		s.tap.Connected(c)
	}
}

// Disconnected tells of a client that has gone, and why. A client whose place a
// newer connection has taken has not gone.
func (s *Switch) Disconnected(id, username, reason string) {
	if p := s.p.Load(); p != nil {
		p.disconnected(id, username, reason)
	}
	if s.tapped() {
		s.tap.Disconnected(id, username, reason)
	}
}

// On tells whether anybody wants to know.
func (s *Switch) On() bool { return s.p.Load() != nil || s.tapped() }

// connected and disconnected are the objects of EMQ 2.3.
type connected struct {
	ClientID  string `json:"clientid"`
	Username  string `json:"username"`
	IPAddress string `json:"ipaddress"`
	CleanSess bool   `json:"clean_sess"`
	Protocol  byte   `json:"protocol"`
	Connack   byte   `json:"connack"`
	TS        int64  `json:"ts"`
}

type disconnected struct {
	ClientID string `json:"clientid"`
	Username string `json:"username"`
	Reason   string `json:"reason"`
	TS       int64  `json:"ts"`
}

func (p *Publisher) connected(c *Client, connack byte) {
	now := time.Now()
	p.say(c.ID, "connected", now, connected{c.ID, named(c.Username), c.IP, c.Clean, c.Version, connack, now.Unix()})
}

func (p *Publisher) disconnected(id, username, reason string) {
	now := time.Now()
	p.say(id, "disconnected", now, disconnected{id, named(username), reason, now.Unix()})
}

// named is what EMQ calls a client without a user name.
func named(username string) string {
	if username == "" {
		return "undefined"
	}
	return username
}

// say publishes what happened. A client identifier that cannot stand in a topic,
// because it has a wildcard, is passed over.
func (p *Publisher) say(id, what string, now time.Time, v any) {
	name := topic.Name("$SYS/brokers/" + p.o.Node + "/clients/" + id + "/" + what)
	if topic.CheckName(name) != nil {
		return
	}
	payload, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always encode
	}
	p.o.Publish(&protocol.Message{Topic: name, Payload: payload, QoS: p.o.QoS, Sys: true, Arrived: now.UnixMilli()})
}
