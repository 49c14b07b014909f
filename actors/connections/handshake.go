package connections

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/sessions"
	"emqttd/actors/system/memory"
	"emqttd/actors/system/metrics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/protocol/topic"
)

// accepted is a connection whose CONNECT was good.
type accepted struct {
	transport Link
	listener  *Listener
	settings  *Settings
	client    *sessions.Client
	identity  *access.Identity
	will      *sessions.Will
	connack   *mqtt.Connack
	rest      []byte // what came behind CONNECT
	enhanced  *enhanced
	quota     int
	maxPacket int
	aliases   int
	expiry    int64 // seconds
}

// Handshake reads the CONNECT of a new connection, answers a bad one, and gives
// a good one an actor. It blocks until then, at most IdleTimeout, and owns conn
// from the start.
func (rt *Runtime) Handshake(conn net.Conn, l *Listener) {
	rt.handshakes.begin(conn)
	defer rt.handshakes.end(conn)
	o, err := l.open(conn)
	if err != nil {
		rt.notOpened(conn, l, err)
		return
	}
	h := &handshake{rt: rt, settings: rt.Settings(), t: o.Transport, l: l, opened: o}
	a, err := h.run()
	if err != nil {
		h.refuse(err)
		return
	}
	a.transport = rt.unwaited(h.t)
	rt.spawn(a)
}

// handshakes are those under way: nobody else knows their goroutines.
type handshakes struct {
	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
}

func (hs *handshakes) begin(t io.Closer) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.closed {
		_ = t.Close()
		return
	}
	if hs.open == nil {
		hs.open = make(map[io.Closer]struct{})
	}
	hs.open[t] = struct{}{}
}

func (hs *handshakes) end(t io.Closer) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.open, t)
}

// close ends all of them, and those that begin later.
func (hs *handshakes) close() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.closed = true
	for t := range hs.open {
		_ = t.Close()
	}
}

type handshake struct {
	rt       *Runtime
	settings *Settings
	t        Transport
	l        *Listener
	opened   Opened
	connect  mqtt.Connect
	why      string // the access chain decided as it did
	have     []byte // read and not yet handled
}

// refusal is an error that is answered with CONNACK.
type refusal struct {
	code   protocol.ReasonCode
	reason string
	server string // Server Reference
}

func (r *refusal) Error() string { return r.reason }

func (h *handshake) run() (*accepted, error) {
	deadline := time.Time{}
	if h.settings.IdleTimeout > 0 {
		deadline = time.Now().Add(h.settings.IdleTimeout)
	}
	if err := h.t.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	header, body, err := h.next()
	if err != nil {
		return nil, err
	}
	if header.Type != mqtt.CONNECT { // [MQTT-3.1.0-1]
		return nil, errNotConnect
	}
	h.rt.Metrics.Inc(metrics.PacketsConnect)
	if err := h.connect.Decode(header, body, 0); err != nil {
		return nil, err
	}
	a, err := h.accept()
	if err != nil {
		return nil, err
	}
	a.rest = append([]byte(nil), h.have...)
	return a, h.t.SetReadDeadline(time.Time{})
}

var errNotConnect = &mqtt.Error{
	Code: protocol.ProtocolError, Reason: "first_packet_not_connect", Clause: "MQTT-3.1.0-1",
}

// next reads a whole packet. Its body stays valid. A packet that is not to come
// now is returned as soon as its type is known.
func (h *handshake) next() (mqtt.Header, []byte, error) {
	for {
		header, n, err := mqtt.ParseHeader(h.have, h.settings.MaxPacket)
		if err != nil {
			return header, nil, err
		}
		if n > 0 && header.Type != mqtt.CONNECT && header.Type != mqtt.AUTH {
			return header, nil, nil
		}
		if end := n + header.Remaining; n > 0 && len(h.have) >= end {
			body := h.have[n:end:end]
			h.have = h.have[end:]
			h.rt.Metrics.Inc(metrics.PacketsReceived)
			return header, body, nil
		}
		buf, err := h.t.Read(nil)
		if err != nil {
			return header, nil, err
		}
		h.rt.Metrics.Add(metrics.BytesReceived, uint64(len(buf.Data)))
		h.have = append(h.have, buf.Data...)
		buf.Free()
	}
}

// accept validates the CONNECT in the order of the specification (3.1.4) and
// makes everything that outlives the buffer it was read into.
func (h *handshake) accept() (*accepted, error) {
	p := &h.connect
	id, assigned, err := h.clientID()
	if err != nil {
		return nil, err
	}
	ip, port := address(h.t.RemoteAddr())
	cred := access.Credentials{
		ClientID: id, Username: strings.Clone(cmp.Or(h.opened.UserName, p.UserName)),
		Password: append([]byte(nil), p.Password...), Peer: ip, Listener: h.l.Name,
		CertCN: h.opened.CertCN, CertDN: h.opened.CertDN, Header: h.opened.Header, Protocol: cmp.Or(h.l.Protocol, "mqtt"),
	}
	if err := h.drained(); err != nil {
		return nil, err
	}
	if h.rt.Memory.Level() >= memory.Refusing {
		return nil, &refusal{code: protocol.ServerBusy, reason: "memory"}
	}
	if err := h.offered(); err != nil {
		return nil, err
	}
	connack := &mqtt.Connack{}
	var identity *access.Identity
	if p.Properties.HasAuthMethod {
		data, user, err := h.authenticate(&cred)
		if err != nil {
			return nil, err
		}
		cred.Username = user
		if identity, err = h.decided(h.rt.Access.Vouched(&cred)); err != nil {
			return nil, err
		}
		out := &connack.Properties
		out.HasAuthMethod, out.AuthMethod, out.AuthData = true, strings.Clone(p.Properties.AuthMethod), data
	} else if identity, err = h.admit(&cred); err != nil {
		return nil, err
	}
	a := &accepted{
		settings:  h.settings,
		transport: h.t, listener: h.l,
		identity: identity,
		client: &sessions.Client{
			ClientID: id, Username: identity.Username(), Peer: ip, Port: port, Listener: h.l.Name,
			ConnectedAt: uint32(time.Now().Unix()), KeepAlive: p.KeepAlive, Version: p.Version,
			Clean: p.CleanStart, Bridge: p.Bridge,
		},
		connack: connack, enhanced: methodOf(p),
	}
	if a.client.Mount, err = mountpoint(h.l.Mountpoint, id, identity.Username()); err != nil {
		return nil, err
	}
	a.will = h.will(identity, a.client.Mount)
	h.terms(a, assigned)
	return a, nil
}

// offered checks that the will asks for nothing that is switched off.
func (h *handshake) offered() error {
	p, f := &h.connect, &h.settings.Features
	switch {
	case !p.HasWill:
		return nil
	case p.Will.QoS > f.MaximumQoS: // [MQTT-3.2.2-12]
		return &refusal{code: protocol.QoSNotSupported, reason: "qos_not_supported"}
	case p.Will.Retain && f.NoRetain && p.Version == mqtt.V5: // [MQTT-3.2.2-13]
		return &refusal{code: protocol.RetainNotSupported, reason: "retain_not_supported"}
	default:
		return nil
	}
}

// clientID checks the client identifier or assigns one. [MQTT-3.1.3-5..9]
func (h *handshake) clientID() (id string, assigned bool, err error) {
	p := &h.connect
	switch {
	case len(p.ClientID) > h.settings.MaxClientID:
		return "", false, &refusal{code: protocol.ClientIdentifierNotValid, reason: "client_id_too_long"}
	case p.ClientID != "":
		return strings.Clone(p.ClientID), false, nil
	case p.Version == mqtt.V31, p.Version == mqtt.V311 && !p.CleanStart: // [MQTT-3.1.3-8]
		return "", false, &refusal{code: protocol.ClientIdentifierNotValid, reason: "client_id_empty"}
	default:
		return "emqttd_" + rand.Text(), true, nil
	}
}

// will keeps the will of the CONNECT, unless the client may not publish it.
func (h *handshake) will(identity *access.Identity, mount string) *sessions.Will {
	if !h.connect.HasWill {
		return nil
	}
	w := &h.connect.Will
	m := (&protocol.Message{
		Topic: w.Topic, Payload: w.Payload, Properties: w.Properties,
		From: identity.ClientID(), QoS: w.QoS, Retain: w.Retain,
	}).Clone()
	if !identity.MayPublish(m.Topic) {
		h.rt.Metrics.DropUnmatched("acl_denied", 1)
		h.rt.Log.Warn("will refused by the access list", "client_id", m.From, "topic", m.Topic)
		return nil
	}
	if mount != "" {
		if m.Topic = topic.Name(mount) + m.Topic; topic.CheckName(m.Topic) != nil {
			h.rt.Metrics.DropUnmatched("topic_name_invalid", 1)
			return nil
		}
	}
	if w.Retain && h.settings.Features.NoRetain {
		m.Retain = false
	}
	will := &sessions.Will{Message: m, Delay: int64(w.Delay)}
	if w.HasMessageExpiry {
		will.Expiry = int64(w.MessageExpiry)
	}
	return will
}

// terms settles what both sides may expect of each other.
func (h *handshake) terms(a *accepted, assigned bool) {
	p := &h.connect
	if p.Version != mqtt.V5 {
		if !p.CleanStart {
			a.expiry = int64(h.settings.SessionExpiry / time.Second)
		}
		return
	}
	props := &p.Properties
	a.expiry = int64(props.SessionExpiry)
	a.quota, a.maxPacket = int(props.ReceiveMaximum), int(props.MaximumPacketSize)
	a.client.MaxPacket = props.MaximumPacketSize
	a.client.NoProblemInfo = props.NoProblemInfo || a.maxPacket > 0 && a.maxPacket < roomForReasons
	f := &h.settings.Features
	a.aliases = min(int(props.TopicAliasMaximum), int(f.TopicAliasMaximum))
	out := &a.connack.Properties
	if assigned {
		out.AssignedClientID = a.client.ClientID // [MQTT-3.2.2-16]
	}
	if f.KeepAlive > 0 && (p.KeepAlive == 0 || p.KeepAlive > f.KeepAlive) {
		a.client.KeepAlive = f.KeepAlive
		out.ServerKeepAlive, out.HasServerKeepAlive = f.KeepAlive, true // [MQTT-3.2.2-21]
	}
	out.ReceiveMaximum, out.TopicAliasMaximum = f.ReceiveMaximum, f.TopicAliasMaximum
	out.MaximumQoS, out.HasMaximumQoS = f.MaximumQoS, f.MaximumQoS < protocol.ExactlyOnce
	out.NoRetain, out.NoWildcard = f.NoRetain, f.NoWildcard
	out.NoShared, out.NoSubscriptionID = f.NoShared, f.NoSubscriptionID
	if h.settings.MaxPacket > 0 {
		out.MaximumPacketSize = maximumPacketSize(h.settings.MaxPacket)
	}
}

// roomForReasons is what an acknowledgement with our longest Reason String fits
// into. A client that takes less gets none. [MQTT-3.4.2-2]
const roomForReasons = 128

// maximumPacketSize is the size of the largest packet that has at most n bytes
// behind its fixed header.
func maximumPacketSize(n int) uint32 {
	header := 2
	for rest := n >> 7; rest > 0; rest >>= 7 {
		header++
	}
	return uint32(n + header)
}

// refuse answers a CONNECT that is not accepted, where there is an answer, and
// closes.
func (h *handshake) refuse(err error) {
	var reason string
	var r *refusal
	var e *mqtt.Error
	switch {
	case errors.As(err, &r):
		reason = r.reason
		h.connack(r.code, r.server)
	case errors.As(err, &e):
		reason = e.Reason
		if h.connect.Version == mqtt.V5 || e.Code == protocol.UnsupportedProtocolVersion && h.connect.Version != 0 {
			h.connack(e.Code, "") // [MQTT-3.1.2-2] [MQTT-4.13.1-1]
		}
	default:
		if reason = reasonOf(err); reason == "timeout" {
			reason = "idle_timeout"
		}
	}
	h.rt.Refused(h.l.Name, h.t.RemoteAddr(), reason, nil, "client_id", h.connect.ClientID, "decided_by", h.why)
	h.linger()
	h.l.Closed(reason)
}

// connack writes a refusing CONNACK and ends our direction.
func (h *handshake) connack(code protocol.ReasonCode, server string) {
	p := mqtt.Connack{Code: code}
	p.Properties.ServerReference = server
	b := p.Append(nil, h.connect.Version)
	_ = h.t.SetWriteDeadline(time.Now().Add(lingerTime))
	n, _ := h.t.Write(b)
	h.rt.Metrics.Add(metrics.BytesSent, uint64(n))
	h.rt.Metrics.Inc(metrics.PacketsSent)
	h.rt.Metrics.Inc(metrics.PacketsConnack)
	h.tellRefused(code)
	_ = h.t.CloseWrite()
}

// lingerTime and lingerBytes bound how long we read on from a client that was
// refused: a socket closed over unread data would reset the connection and take
// our answer with it.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

func (h *handshake) linger() {
	_ = h.t.CloseWrite()
	_ = h.t.SetReadDeadline(time.Now().Add(lingerTime))
	for n := 0; n < lingerBytes; {
		b, err := h.t.Read(nil)
		if err != nil {
			break
		}
		n += len(b.Data)
		b.Free()
	}
	_ = h.t.Close()
}

// address takes a peer's address apart; a transport that has none of TCP's is
// named as it names itself.
func address(a net.Addr) (ip string, port uint16) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.String(), uint16(a.Port)
	case *net.UnixAddr: // clients have none
		return "unix", 0
	default:
		return a.String(), 0
	}
}
