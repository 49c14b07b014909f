package listeners

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"emqttd/actors/connections"
)

// upgrade is one request for a WebSocket.
type upgrade struct {
	*WebSocket
	peer   net.Addr // who asks
	secure bool     // over TLS
	// admit tells why the client may not come in from where the header says it
	// is; nil if the header does not count.
	admit func(client net.Addr) string

	kept   http.Header // what others want to know of the request
	host   string
	client net.Addr // of the header; nil for none
	refuse string   // why the client may not come in
}

// keptHeaders are passed on. Their size is bounded by that of the request.
var keptHeaders = []string{"Cookie", "Authorization", "X-Forwarded-For", "Origin", "User-Agent"}

// do answers the request of a new connection and returns the WebSocket, if that
// is what it asked for.
func (u *upgrade) do(t connections.Transport, within time.Duration) (connections.Transport, error) {
	if within > 0 {
		_ = t.SetReadDeadline(time.Now().Add(within)) // reading tells what is wrong with it
	}
	head, early, err := readRequest(t)
	if err != nil && !errors.Is(err, errRequest) {
		return nil, &connections.OpenError{Reason: reasonOf(err, "ws"), Err: err, Peer: u.client}
	}
	answer, reason, err := u.answer(head)
	_ = t.SetWriteDeadline(time.Now().Add(answerTime))
	if _, e := t.Write(answer); e != nil {
		return nil, &connections.OpenError{Reason: reasonOf(e, "ws"), Err: e, Peer: u.client}
	}
	_ = t.SetWriteDeadline(time.Time{})
	if reason != "" {
		linger(t)
		return nil, &connections.OpenError{Reason: reason, Err: err, Peer: u.client}
	}
	if u.client != nil {
		t = &addressed{t, u.client}
	}
	return connections.NewWebSocket(t, early, u.MaxFrameSize), nil
}

// answer makes the answer to a request. reason is empty if it is the upgrade to
// a WebSocket; err is nil if the client got what it wanted.
func (u *upgrade) answer(head []byte) (answer []byte, reason string, err error) {
	path := pathOf(head)
	want := u.Path
	if want == "" {
		want = "/mqtt"
	}
	switch asks := bytes.Contains(bytes.ToLower(head), []byte("\r\nupgrade:")); {
	case head == nil:
		return response(http.StatusRequestHeaderFieldsTooLarge, "text/plain", nil), "ws_bad_request", errRequest
	case path == "/" && !asks:
		return response(http.StatusOK, "text/html", pageFor(want)), "page", nil
	case path != want:
		return response(http.StatusNotFound, "text/plain", nil), "ws_not_found", errNotFound
	}
	conn := exchange{Reader: bytes.NewReader(head)}
	offered := u.AnyProtocol
	_, err = ws.Upgrader{
		Protocol: func(name []byte) bool {
			ok := bytes.HasPrefix(name, []byte("mqtt"))
			offered = offered || ok
			return ok
		},
		OnHost:   func(host []byte) error { u.host = string(host); return nil },
		OnHeader: u.header,
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if u.kept.Get("Origin") != "" { // whether it is a page of ours depends on both
				u.kept.Set("Host", u.host)
			}
			if u.refuse = u.check(); u.refuse != "" {
				return nil, ws.RejectConnectionError(
					ws.RejectionStatus(http.StatusForbidden), ws.RejectionReason("Forbidden"))
			}
			if !offered {
				return nil, ws.RejectConnectionError(
					ws.RejectionStatus(http.StatusBadRequest), ws.RejectionReason("Bad WebSocket Protocol"))
			}
			return nil, nil
		},
	}.Upgrade(&conn)
	switch {
	case err == nil:
		return conn.out.Bytes(), "", nil
	case u.refuse == "ws_origin":
		return conn.out.Bytes(), u.refuse, errOrigin
	case u.refuse != "":
		return conn.out.Bytes(), u.refuse, errUnwelcome
	case conn.out.Len() == 0:
		return response(http.StatusBadRequest, "text/plain", nil), "ws_bad_request", err
	default:
		return conn.out.Bytes(), "ws_bad_request", err
	}
}

// header keeps a header that somebody wants to know. Its bytes are the
// upgrader's.
func (u *upgrade) header(key, value []byte) error {
	name := textproto.CanonicalMIMEHeaderKey(string(key))
	if !slices.Contains(keptHeaders, name) && !u.tellsAddress(name) {
		return nil
	}
	if u.kept == nil {
		u.kept = make(http.Header)
	}
	u.kept.Add(name, string(value))
	return nil
}

func (u *upgrade) tellsAddress(name string) bool {
	return name == textproto.CanonicalMIMEHeaderKey(u.AddressHeader) || name == textproto.CanonicalMIMEHeaderKey(u.PortHeader)
}

// check tells why the client may not come in, "" if it may.
func (u *upgrade) check() string {
	if u.Origins != nil && !u.isFriend(u.kept.Values("Origin")) {
		return "ws_origin"
	}
	if u.admit == nil {
		return ""
	}
	if u.client = u.clientOf(u.kept); u.client != nil {
		return u.admit(u.client)
	}
	return u.admit(u.peer)
}

// believes tells whether a peer is a proxy whose headers say who the client is.
func (w *WebSocket) believes(peer net.Addr) bool {
	return (w.AddressHeader != "" || w.PortHeader != "") && within(w.Trusted, peer)
}

// clientOf is the client's address by the headers of a trusted proxy, nil if
// they do not say. Each proxy appends the address of who asked it: the last one
// that is no proxy of ours was seen by one that we trust; those before it are
// hearsay.
func (u *upgrade) clientOf(h http.Header) net.Addr {
	peer, _ := u.peer.(*net.TCPAddr)
	if peer == nil {
		return nil
	}
	client := net.TCPAddr{IP: peer.IP, Port: peer.Port}
	told := false
	hops := strings.Split(strings.Join(h.Values(u.AddressHeader), ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip, port, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client, told = net.TCPAddr{IP: ip.AsSlice(), Port: port}, true
		if !within(u.Trusted, &client) {
			break
		}
	}
	if port, err := strconv.ParseUint(h.Get(u.PortHeader), 10, 16); err == nil && u.PortHeader != "" {
		client.Port, told = int(port), true
	}
	if !told {
		return nil
	}
	return &client
}

// parseHop reads an IP, with or without a port.
func parseHop(text string) (netip.Addr, int, bool) {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap(), int(a.Port()), true
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap(), 0, err == nil
}

// isFriend tells whether a page from that origin may connect. What is no browser
// sends none.
func (u *upgrade) isFriend(origins []string) bool {
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	scheme, host, ok := strings.Cut(strings.ToLower(origins[0]), "://")
	if !ok {
		return false // null: a page of no origin, or a file
	}
	return slices.ContainsFunc(u.Origins, func(allowed string) bool {
		if allowed == "self" {
			return (scheme == "https") == u.secure && host == strings.ToLower(u.host)
		}
		s, h, _ := strings.Cut(strings.ToLower(allowed), "://")
		if below, ok := strings.CutPrefix(h, "*"); ok {
			return s == scheme && strings.HasSuffix(host, below) && len(host) > len(below)
		}
		return s == scheme && h == host
	})
}
