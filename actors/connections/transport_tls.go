package connections

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// NewTLS does the server's side of a TLS handshake, within a time, and returns
// the transport over it. It does not close c when the handshake fails.
func NewTLS(c net.Conn, config *tls.Config, within time.Duration) (Transport, *tls.ConnectionState, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, nil, err
	}
	t, conn := newTLSTransport(c, config)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		return nil, nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	state := conn.ConnectionState()
	shrink(conn)
	if t == nil {
		return &plainTransport{Conn: conn}, &state, nil
	}
	return t(), &state, nil
}
