package main

import (
	"context"
	"net"
)

// floorOfGoroutines is the relay with a blocked reader for each connection, as Go
// programs have it.
func floorOfGoroutines(ctx context.Context, p place) error {
	l, err := net.Listen("tcp", p.tcp)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	r := newRelay()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go r.serve(conn)
	}
}

func (r *relay) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	c := &client{write: func(b []byte) { _, _ = conn.Write(b) }} // its reader notices
	defer r.leave(c)
	var touched []*client
	buf := make([]byte, 8<<10)
	for n := 0; ; {
		k, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		var rest []byte
		rest, touched = r.read(c, buf[:n+k], touched)
		n = copy(buf, rest)
	}
}
