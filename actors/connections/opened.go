package connections

import (
	"errors"
	"net"
	"net/http"
)

// Opened is a new connection on which the client may send its CONNECT.
type Opened struct {
	Transport Transport
	// UserName, if not empty, stands above that of the CONNECT: the client has
	// proved it, for example by a certificate.
	UserName string
	// Header is what the request for a WebSocket said about who asks: some of
	// Cookie, Authorization, X-Forwarded-For, Origin, with that Host, and User-Agent,
	// a few KB at most. nil without a WebSocket. Nobody has proved any of it.
	Header http.Header
	// CertCN and CertDN are the common and the distinguished name of the
	// client's certificate, which has been verified; empty without one.
	CertCN, CertDN string
}

// OpenError says why a connection did not come as far as its CONNECT.
type OpenError struct {
	Reason string // as metrics and logs show it
	Err    error  // nil if the client got what it wanted
	// Peer is whom it concerns, where that is not the other end of the socket.
	Peer net.Addr
}

func (e *OpenError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap is for package errors.
func (e *OpenError) Unwrap() error { return e.Err }

func (l *Listener) open(c net.Conn) (Opened, error) {
	if l.Open == nil {
		return Opened{Transport: NewTransport(c)}, nil
	}
	return l.Open(c)
}

// notOpened closes a connection that has no transport.
func (rt *Runtime) notOpened(c net.Conn, l *Listener, err error) {
	_ = c.Close()
	e := &OpenError{Reason: "handshake_error", Err: err}
	errors.As(err, &e)
	if e.Err != nil {
		peer := e.Peer
		if peer == nil {
			peer = c.RemoteAddr()
		}
		rt.Refused(l.Name, peer, e.Reason, e.Err)
	}
	l.Closed(e.Reason)
}
