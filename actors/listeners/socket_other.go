//go:build !unix

package listeners

import "net"

// listen opens the socket; the backlog is the system's.
func (l *Listener) listen() (net.Listener, error) {
	if l.options.Socket != nil {
		return l.options.Socket, nil
	}
	return net.Listen("tcp", l.options.Address)
}
