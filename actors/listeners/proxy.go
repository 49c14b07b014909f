package listeners

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"emqttd/actors/connections"
)

// Proxy says that connections come through a proxy which tells the client's
// address in a header of the PROXY protocol.
type Proxy struct {
	Timeout time.Duration  // for the header; 0 is 3 s
	Trusted []netip.Prefix // who may send one; empty: everybody
}

// proxyTimeout is that of EMQ.
const proxyTimeout = 3 * time.Second

// The longest headers: that of version 1 is given by its specification; one of
// version 2 may carry a certificate.
const (
	maxProxyV1 = 107
	maxProxyV2 = 16 << 10
)

var (
	errNoProxyHeader = errors.New("the connection does not begin with a header of the PROXY protocol")
	errUntrusted     = errors.New("the peer is none of the trusted proxies")
)

func (p *Proxy) trusts(a net.Addr) bool {
	return len(p.Trusted) == 0 || within(p.Trusted, a)
}

// within tells whether an address is in one of the networks.
func within(networks []netip.Prefix, a net.Addr) bool {
	ip, ok := addressOf(a)
	for _, n := range networks {
		if ok && n.Contains(ip) {
			return true
		}
	}
	return false
}

// client reads the header and returns the client's address: that of the socket
// where the proxy speaks for itself or does not know better.
func (p *Proxy) client(conn net.Conn) (net.Addr, error) {
	if !p.trusts(conn.RemoteAddr()) {
		return nil, &connections.OpenError{Reason: "proxy_untrusted", Err: errUntrusted}
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = proxyTimeout
	}
	_ = conn.SetReadDeadline(time.Now().Add(timeout)) // reading tells what is wrong with it
	b, err := readProxyHeader(conn)
	if err != nil {
		return nil, &connections.OpenError{Reason: reasonOf(err, "proxy"), Err: err}
	}
	_ = conn.SetReadDeadline(time.Time{})
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil, &connections.OpenError{Reason: "proxy_error", Err: err}
	}
	if tcp, ok := h.SourceAddr.(*net.TCPAddr); ok && h.Command.IsProxy() {
		return tcp, nil
	}
	return conn.RemoteAddr(), nil
}

// readProxyHeader reads a header and nothing of what comes behind it. The
// shortest header of version 1 has 15 bytes; of version 2, 16 tell the length.
func readProxyHeader(r io.Reader) ([]byte, error) {
	b := make([]byte, 16, 256)
	if _, err := io.ReadFull(r, b[:13]); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(b, proxyproto.SIGV2):
		if _, err := io.ReadFull(r, b[13:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(b[14:]))
		if n > maxProxyV2 {
			return nil, errNoProxyHeader
		}
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[16:])
		return b, err
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		for b = b[:13]; b[len(b)-1] != '\n'; {
			if len(b) == maxProxyV1 {
				return nil, errNoProxyHeader
			}
			b = append(b, 0)
			if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
				return nil, err
			}
		}
		return b, nil
	default:
		return nil, errNoProxyHeader
	}
}
