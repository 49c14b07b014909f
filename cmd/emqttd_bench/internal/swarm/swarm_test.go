package swarm

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// wire is a network in the test's hands.
type wire struct {
	written []byte
	room    int // bytes that write takes
	waited  []int64
}

func (w *wire) dial(c *Conn, _ netip.AddrPort, _ netip.Addr) error {
	c.connected()
	return nil
}
func (w *wire) wait(d int64) { w.waited = append(w.waited, d) }
func (w *wire) write(_ *Conn, b []byte) (int, error) {
	n := min(len(b), w.room)
	w.room -= n
	w.written = append(w.written, b[:n]...)
	return n, nil
}
func (w *wire) hangUp(*Conn) {}
func (w *wire) close()       {}

// take returns what was written since it was called last.
func (w *wire) take() []byte {
	b := w.written
	w.written = nil
	return b
}

// diary is Events that are written down.
type diary struct {
	Ignore
	up, room int
	messages []string
	acked    []protocol.PacketID
	down     error
}

func (d *diary) Up(*Conn, *mqtt.Connack) { d.up++ }
func (d *diary) Room(*Conn)              { d.room++ }
func (d *diary) Down(_ *Conn, err error) { d.down = err }
func (d *diary) Message(_ *Conn, p *mqtt.Publish) {
	d.messages = append(d.messages, string(p.Payload))
}

func (d *diary) Acked(_ *Conn, id protocol.PacketID, _ protocol.ReasonCode) {
	d.acked = append(d.acked, id)
}

// connect is a client whose CONNECT has been written.
func connect(t *testing.T, keepAlive uint16) (*Swarm, *wire, *Conn, *diary) {
	t.Helper()
	w, d := &wire{room: 1 << 30}, &diary{}
	s := &Swarm{net: w, open: map[*Conn]struct{}{}, began: time.Now(), spare: make([][]byte, 0, 4)}
	c, err := s.Dial(netip.AddrPort{}, netip.Addr{}, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "c", KeepAlive: keepAlive}, d)
	if err != nil {
		t.Fatal(err)
	}
	s.flush()
	if b := w.take(); len(b) == 0 || b[0] != byte(mqtt.CONNECT)<<4 {
		t.Fatalf("%x is no CONNECT", b)
	}
	return s, w, c, d
}

func TestPacketsMayArriveInAnyPieces(t *testing.T) {
	var stream []byte
	stream = (&mqtt.Connack{}).Append(stream, mqtt.V311)
	for _, p := range []string{"one", "two", string(make([]byte, 20_000))} {
		stream = (&mqtt.Publish{Topic: "t", Payload: []byte(p)}).Append(stream, mqtt.V311)
	}
	for _, size := range []int{1, 2, 7, 4096, len(stream)} {
		_, _, c, d := connect(t, 0)
		for b := stream; len(b) > 0; {
			n := min(size, len(b))
			piece := bytes.Clone(b[:n])
			c.received(piece)
			clear(piece) // the network uses it again
			b = b[n:]
		}
		if d.up != 1 || len(d.messages) != 3 || d.messages[1] != "two" || len(d.messages[2]) != 20_000 || d.down != nil {
			t.Errorf("in pieces of %d: %d CONNACK, %d messages, %v", size, d.up, len(d.messages), d.down)
		}
	}
}

func TestOutputWaitsForAFullSocketAndKeepsItsOrder(t *testing.T) {
	s, w, c, d := connect(t, 0)
	w.room = 5
	var want []byte
	for range 3 {
		p := &mqtt.Publish{Topic: "topic", Payload: []byte("payload"), QoS: 1}
		c.Publish(p)
		want = p.Append(want, mqtt.V311)
		s.flush()
	}
	if !c.Blocked() || d.room != 0 {
		t.Fatal("the socket was full and nobody noticed")
	}
	w.room = 10
	c.writable()
	if !c.Blocked() || d.room != 0 {
		t.Fatal("room was announced while output was waiting")
	}
	w.room = 1 << 20
	c.writable()
	if got := w.take(); c.Blocked() || d.room != 1 || !bytes.Equal(got, want) {
		t.Errorf("room %d, wrote %x, want %x", d.room, got, want)
	}
}

func TestMessagesAreAcknowledgedAsTheirQoSDemands(t *testing.T) {
	s, w, c, d := connect(t, 0)
	feed := func(b []byte) []byte {
		c.received(b)
		s.flush()
		return w.take()
	}
	ack := func(typ mqtt.PacketType) []byte {
		return mqtt.AppendAck(nil, typ, mqtt.V311, 9, protocol.Success)
	}
	publish := func(q protocol.QoS) []byte {
		return (&mqtt.Publish{Topic: "t", Payload: []byte{'0' + byte(q)}, QoS: q, PacketID: 9 * protocol.PacketID(min(q, 1))}).Append(nil, mqtt.V311)
	}
	for _, step := range []struct {
		name     string
		in, want []byte
	}{
		{"QoS 0", publish(0), nil},
		{"QoS 1", publish(1), ack(mqtt.PUBACK)},
		{"QoS 2", publish(2), ack(mqtt.PUBREC)},
		{"MQTT-4.3.3-2 the same once more", publish(2), ack(mqtt.PUBREC)},
		{"PUBREL", ack(mqtt.PUBREL), ack(mqtt.PUBCOMP)},
		{"the identifier is free again", publish(2), ack(mqtt.PUBREC)},
		{"PUBREC of ours", ack(mqtt.PUBREC), ack(mqtt.PUBREL)},
		{"PUBCOMP of ours", ack(mqtt.PUBCOMP), nil},
	} {
		if got := feed(step.in); !bytes.Equal(got, step.want) {
			t.Errorf("%s: wrote %x, want %x", step.name, got, step.want)
		}
	}
	if len(d.messages) != 4 || len(d.acked) != 1 || d.acked[0] != 9 || d.down != nil {
		t.Errorf("%q, acked %v, %v", d.messages, d.acked, d.down)
	}
}

func TestAMessageCostsNoAllocation(t *testing.T) {
	s, w, c, _ := connect(t, 0)
	c.Events = Ignore{}
	out := &mqtt.Publish{Topic: "topic", Payload: []byte("payload"), QoS: 1}
	in := (&mqtt.Publish{Topic: "topic", Payload: []byte("payload"), QoS: 1, PacketID: 1}).Append(nil, mqtt.V311)
	in = mqtt.AppendAck(in, mqtt.PUBACK, mqtt.V311, 1, protocol.Success)
	allocations := testing.AllocsPerRun(100, func() {
		c.Publish(out)
		c.received(in)
		s.flush()
		w.written = w.written[:0]
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// upgrade is a client whose WebSocket the broker has agreed to.
func upgrade(t *testing.T) (*Swarm, *wire, *Conn, *diary) {
	t.Helper()
	w, d := &wire{room: 1 << 30}, &diary{}
	s := &Swarm{net: w, open: map[*Conn]struct{}{}, began: time.Now(), WebSocket: "/mqtt", spare: make([][]byte, 0, 4)}
	c, err := s.Dial(netip.AddrPort{}, netip.Addr{}, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "c"}, d)
	if err != nil {
		t.Fatal(err)
	}
	s.flush()
	if b := w.take(); !bytes.HasPrefix(b, []byte("GET /mqtt HTTP/1.1\r\n")) || !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		t.Fatalf("%q is no request", b)
	}
	for _, b := range []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n") {
		c.received([]byte{b})
	}
	s.flush()
	if f := frames(t, w.take()); len(f) != 1 || f[0].Payload[0] != byte(mqtt.CONNECT)<<4 {
		t.Fatalf("%v is no CONNECT", f)
	}
	return s, w, c, d
}

// frames takes apart what a client wrote.
func frames(t *testing.T, b []byte) (all []ws.Frame) {
	t.Helper()
	for r := bytes.NewReader(b); r.Len() > 0; {
		h, err := ws.ReadHeader(r)
		if err == nil {
			err = ws.CheckHeader(h, ws.StateServerSide)
		}
		if err != nil || h.Length > int64(r.Len()) {
			t.Fatalf("a frame of %d bytes: %v", h.Length, err)
		}
		f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
		_, _ = r.Read(f.Payload) // they are there
		all = append(all, ws.UnmaskFrame(f))
	}
	return all
}

func TestATurnIsOneFrameOfAWebSocket(t *testing.T) {
	for _, size := range []int{0, 100, 115, 116, 300, 65524, 65527, 65528, 200_000} {
		s, w, c, _ := upgrade(t)
		p := &mqtt.Publish{Topic: "topic", Payload: bytes.Repeat([]byte("x"), size)}
		want := p.Append(p.Append(nil, mqtt.V311), mqtt.V311)
		w.room = 3 // the rest follows when there is room, and the next turn is another frame
		c.Publish(p)
		c.Publish(p)
		s.flush()
		c.Publish(p)
		w.room = 1 << 30
		c.writable()
		f := frames(t, w.take())
		if len(f) != 2 || !bytes.Equal(f[0].Payload, want) || !bytes.Equal(f[1].Payload, want[:len(want)/2]) || f[0].Header.OpCode != ws.OpBinary {
			t.Errorf("payloads of %d bytes: %d frames", size, len(f))
		}
	}
}

func TestFramesOfAWebSocketMayArriveInAnyPieces(t *testing.T) {
	packets := (&mqtt.Connack{}).Append(nil, mqtt.V311)
	packets = (&mqtt.Publish{Topic: "t", Payload: make([]byte, 500)}).Append(packets, mqtt.V311)
	packets = (&mqtt.Publish{Topic: "t", Payload: make([]byte, 70_000)}).Append(packets, mqtt.V311)
	var stream []byte
	for _, cut := range []int{3, 300, 301, 69_000} { // also within packets
		stream = append(stream, ws.MustCompileFrame(ws.NewBinaryFrame(packets[:cut]))...)
		stream = append(stream, ws.MustCompileFrame(ws.NewPingFrame([]byte("there?")))...)
		packets = packets[cut:]
	}
	stream = append(stream, ws.MustCompileFrame(ws.NewBinaryFrame(packets))...)
	for _, size := range []int{1, 2, 7, 4096, len(stream)} {
		s, w, c, d := upgrade(t)
		for b := stream; len(b) > 0; {
			n := min(size, len(b))
			c.received(bytes.Clone(b[:n]))
			b = b[n:]
		}
		s.flush()
		f := frames(t, w.take())
		if d.up != 1 || len(d.messages) != 2 || len(d.messages[1]) != 70_000 || d.down != nil {
			t.Errorf("in pieces of %d: %d CONNACK, %d messages, %v", size, d.up, len(d.messages), d.down)
		}
		if len(f) != 4 || f[3].Header.OpCode != ws.OpPong || string(f[3].Payload) != "there?" {
			t.Errorf("in pieces of %d: the pings had the answers %v", size, f)
		}
	}
}

func TestAWebSocketEndsAsTheBrokerSays(t *testing.T) {
	_, _, c, d := upgrade(t)
	c.received(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, ""))))
	if !errors.Is(d.down, ErrClosed) {
		t.Errorf("%v after a Close", d.down)
	}
	w, d := &wire{room: 1 << 30}, &diary{}
	s := &Swarm{net: w, open: map[*Conn]struct{}{}, began: time.Now(), WebSocket: "/mqtt"}
	c, err := s.Dial(netip.AddrPort{}, netip.Addr{}, &mqtt.Connect{Version: mqtt.V311}, d)
	if err != nil {
		t.Fatal(err)
	}
	c.received([]byte("HTTP/1.1 404 Not Found\r\n\r\n"))
	if d.down == nil || d.down.Error() != "no WebSocket: HTTP/1.1 404 Not Found" {
		t.Errorf("%v after a refusal", d.down)
	}
}

func TestGarbageEndsTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"reserved type": {0x00, 0x00}, "truncated PUBLISH": {0x30, 0x02, 0x00, 0x09}, "CONNECT from the broker": {0x10, 0x00},
	} {
		s, _, c, d := connect(t, 0)
		c.received(b)
		if d.down == nil || c.Live() || s.Open() != 0 {
			t.Errorf("%s: %v", name, d.down)
		}
	}
}

func TestAQuietClientPings(t *testing.T) {
	s, w, c, _ := connect(t, 100)
	s.now = c.sentAt + int64(74*time.Second)
	s.keepAlive()
	s.flush()
	if b := w.take(); len(b) != 0 {
		t.Errorf("%x before three quarters of the keep alive", b)
	}
	s.now = c.sentAt + int64(75*time.Second)
	s.keepAlive()
	s.flush()
	if b := w.take(); !bytes.Equal(b, mqtt.AppendPingreq(nil)) {
		t.Errorf("wrote %x, want PINGREQ", b)
	}
}

func TestByeIsNoLoss(t *testing.T) {
	s, w, c, d := connect(t, 0)
	c.Bye()
	s.flush()
	if b := w.take(); !bytes.Equal(b, []byte{0xe0, 0x00}) || d.down != nil || s.Open() != 0 {
		t.Errorf("wrote %x, down %v, %d open", b, d.down, s.Open())
	}
	c.fail(errors.New("late"))
	if d.down != nil {
		t.Error("told after Bye")
	}
}

func TestAwaitWaitsNoLongerThanTurnWants(t *testing.T) {
	s, w, _, _ := connect(t, 0)
	turns := 0
	s.second = Never
	s.Turn = func(now int64) int64 {
		turns++
		return now + int64(time.Hour)
	}
	s.Await(context.Background(), time.Hour, func() bool { return turns == 3 })
	for _, d := range w.waited[1:] {
		if d != breath {
			t.Errorf("waited %v, want a breath", time.Duration(d))
		}
	}
	s.Turn = func(now int64) int64 { turns++; return now }
	w.waited = nil
	s.Await(context.Background(), time.Hour, func() bool { return turns == 6 })
	for _, d := range w.waited[1:] {
		if d != 0 {
			t.Errorf("waited %v, want no time", time.Duration(d))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if s.Await(ctx, time.Hour, nil) {
		t.Error("what was cancelled is not done")
	}
}
