//go:build !unix

package connections

import (
	"errors"
	"io"
	"net"
)

func newRawTransport(net.Conn) Transport { return nil }

func systemReason(err error) string {
	if errors.Is(err, io.EOF) {
		return "closed"
	}
	return "socket_error"
}
