//go:build !unix

package connections

import (
	"crypto/tls"
	"net"
)

// newTLSTransport has nothing better than the portable form.
func newTLSTransport(c net.Conn, config *tls.Config) (func() Transport, *tls.Conn) {
	return nil, tls.Server(c, config)
}
