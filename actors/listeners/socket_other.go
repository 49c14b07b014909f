//go:build !unix

package listeners

import "net"

// socket listens already: here that cannot be parted from binding. The backlog
// is the system's.
type socket = net.Listener

// nobodyListens cannot tell why connecting to a Unix socket failed: where nobody
// answers, nobody listens.
func nobodyListens(error) bool { return true }

func (l *Listener) bind() (socket, error) { return net.Listen("tcp", l.terms.Load().Address) }

func (l *Listener) listen(s socket) (net.Listener, error) { return s, nil }
