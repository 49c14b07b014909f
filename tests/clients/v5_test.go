package clients

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"emqttd/tests/testkit"
)

// peer5 is a Paho client of MQTT 5 and what it received.
type peer5 struct {
	*paho.Client
	t       *testing.T
	conn    net.Conn
	connack *paho.Connack
	inbox   chan *paho.Publish
	bye     chan *paho.Disconnect // what the broker sent
}

// change alters how a client is made, or its CONNECT.
type change func(*paho.ClientConfig, *paho.Connect)

// expiring asks for a session that outlives the connection, and for the one
// there may be. It leaves a will by which depart learns that the broker knows.
func expiring(seconds uint32) change {
	return func(_ *paho.ClientConfig, c *paho.Connect) {
		c.CleanStart, c.Properties.SessionExpiryInterval = false, &seconds
		c.WillMessage = &paho.WillMessage{Topic: "departed/" + c.ClientID, Payload: []byte("departed")}
	}
}

// asking alters the properties of the CONNECT.
func asking(f func(*paho.ConnectProperties)) change {
	return func(_ *paho.ClientConfig, c *paho.Connect) { f(c.Properties) }
}

// willing leaves a will with QoS 1.
func willing(topic, payload string, p paho.WillProperties) change {
	return func(_ *paho.ClientConfig, c *paho.Connect) {
		c.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte(payload), QoS: 1}
		c.WillProperties = &p
	}
}

// byHand lets the test acknowledge messages.
func byHand(c *paho.ClientConfig, _ *paho.Connect) {
	c.EnableManualAcknowledgment, c.SendAcksInterval = true, time.Millisecond
}

// try5 connects; the error is of a CONNECT that is refused.
func try5(t *testing.T, addr, id string, changes ...change) (*peer5, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer5{t: t, conn: conn, inbox: make(chan *paho.Publish, 1000), bye: make(chan *paho.Disconnect, 1)}
	config := paho.ClientConfig{
		Conn: conn, PacketTimeout: testkit.Patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(m paho.PublishReceived) (bool, error) { p.inbox <- m.Packet; return true, nil },
		},
		OnServerDisconnect: func(d *paho.Disconnect) { p.bye <- d },
	}
	connect := &paho.Connect{
		ClientID: id, CleanStart: true, Properties: &paho.ConnectProperties{RequestProblemInfo: true},
	}
	for _, f := range changes {
		f(&config, connect)
	}
	p.Client = paho.NewClient(config)
	p.connack, err = p.Connect(p.context(), connect)
	if err != nil {
		return p, err
	}
	t.Cleanup(func() { _ = p.Disconnect(&paho.Disconnect{}) })
	return p, nil
}

// join5 connects and expects to be accepted.
func join5(t *testing.T, addr, id string, changes ...change) *peer5 {
	t.Helper()
	p, err := try5(t, addr, id, changes...)
	if err != nil {
		t.Fatalf("CONNECT of %s: %v %v", id, err, p.connack)
	}
	return p
}

func (p *peer5) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	p.t.Cleanup(cancel)
	return ctx
}

// lose ends the connection without a DISCONNECT.
func (p *peer5) lose() {
	p.TerminateConnectionForTest()
	<-p.Done()
}

// leave says good-bye with a reason.
func (p *peer5) leave(reason byte) {
	p.t.Helper()
	if err := p.Disconnect(&paho.Disconnect{ReasonCode: reason}); err != nil {
		p.t.Fatal(err)
	}
}

// depart says good-bye and waits until the session is without a connection. The
// client has connected with expiring.
func (p *peer5) depart(expiry ...uint32) {
	p.t.Helper()
	topic := "departed/" + p.ClientID()
	watcher := join5(p.t, p.conn.RemoteAddr().String(), p.ClientID()+"-watcher")
	watcher.subscribe(0, topic)
	d := &paho.Disconnect{ReasonCode: 4, Properties: &paho.DisconnectProperties{}}
	for _, x := range expiry {
		d.Properties.SessionExpiryInterval = &x
	}
	if err := p.Disconnect(d); err != nil {
		p.t.Fatal(err)
	}
	watcher.expect(topic, "departed")
}

// subscribe expects each filter to be granted.
func (p *peer5) subscribe(qos byte, filters ...string) {
	p.t.Helper()
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos})
	}
	p.ask(s)
}

// ask expects a SUBSCRIBE to be granted as it asks.
func (p *peer5) ask(s *paho.Subscribe) {
	p.t.Helper()
	got, err := p.Subscribe(p.context(), s)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, o := range s.Subscriptions {
		if got.Reasons[i] != o.QoS {
			p.t.Errorf("%s was granted QoS %d, want %d", o.Topic, got.Reasons[i], o.QoS)
		}
	}
}

// publish sends and waits for the acknowledgement, of which it returns the code.
func (p *peer5) publish(topic string, qos byte, payload string, properties ...*paho.PublishProperties) byte {
	p.t.Helper()
	m := &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload)}
	for _, x := range properties {
		m.Properties = x
	}
	return p.send(m)
}

func (p *peer5) send(m *paho.Publish) byte {
	p.t.Helper()
	r, err := p.Publish(p.context(), m)
	if r == nil {
		p.t.Fatalf("PUBLISH to %s: %v", m.Topic, err)
	}
	return r.ReasonCode
}

func (p *peer5) retain(topic, payload string) {
	p.t.Helper()
	p.send(&paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true})
}

func (p *peer5) next() *paho.Publish {
	p.t.Helper()
	select {
	case m := <-p.inbox:
		return m
	case <-time.After(testkit.Patience):
		p.t.Fatal("no message")
		return nil
	}
}

// expect expects the next message.
func (p *peer5) expect(topic, payload string) *paho.Publish {
	p.t.Helper()
	m := p.next()
	if m.Topic != topic || string(m.Payload) != payload {
		p.t.Fatalf("got %s %q, want %s %q", m.Topic, m.Payload, topic, payload)
	}
	return m
}

// silent expects that nothing came: a message that it sends to itself is the
// next one. It needs a subscription of its own, which it makes.
func (p *peer5) silent(topic string) {
	p.t.Helper()
	p.subscribe(0, topic)
	p.publish(topic, 0, "nothing before")
	p.expect(topic, "nothing before")
}

// dismissed expects a DISCONNECT of the broker.
func (p *peer5) dismissed(code byte) *paho.Disconnect {
	p.t.Helper()
	select {
	case d := <-p.bye:
		if d.ReasonCode != code {
			p.t.Errorf("DISCONNECT 0x%02X, want 0x%02X", d.ReasonCode, code)
		}
		return d
	case <-time.After(testkit.Patience):
		p.t.Fatal("no DISCONNECT")
		return nil
	}
}

func pointer[T any](v T) *T { return &v }

// TestPaho5 runs the cases side by side: those about intervals have to wait.
func TestPaho5(t *testing.T) {
	home := scramHome(t)
	home.Foreground()
	for name, test := range map[string]func(t *testing.T, addr string){
		"session":          sessionCases,
		"message":          messageCases,
		"subscription":     subscriptionCases,
		"flow":             flowCases,
		"will":             willCases,
		"authentication":   authenticationCases,
		"between versions": mixedCases,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, home.MQTT)
		})
	}
}
