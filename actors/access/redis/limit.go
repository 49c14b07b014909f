package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"time"
)

// errAnswer is that what a server says is not a reasonable answer.
var errAnswer = errors.New("the answer of the server is out of all proportion")

// Limits on what a server says. The library believes a length that it reads and makes
// room for it: nine digits from a server that lies would end the node.
const (
	maxText  = 1 << 20  // bytes of one text
	maxItems = 1 << 17  // of one list; half as many fields of a hash
	maxDepth = 8        // lists within lists
	maxLine  = 64 << 10 // bytes of a line: an error, a number
)

// limited is a connection whose answers are within the limits.
type limited struct {
	net.Conn
	state
}

// dialer connects as the library does, but to limited connections.
func dialer(timeout time.Duration, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAlive: time.Minute}
	dial := d.DialContext
	if config != nil {
		dial = (&tls.Dialer{NetDialer: d, Config: config}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &limited{Conn: c}, nil
	}
}

// Read passes on only what keeps the limits.
func (l *limited) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if !l.take(b[:n]) {
		return 0, errors.Join(errAnswer, l.Close())
	}
	return n, err
}

// state follows answers of the protocols RESP 2 and 3, whichever way they are cut.
type state struct {
	line []byte // what has come of a line
	skip int    // bytes of a text that are still to come, and its end of line
	open []int  // of each list that we are in: items that are still to come
}

// take reads on; false when a limit is passed.
func (s *state) take(b []byte) bool {
	for len(b) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(b))
			s.skip -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			s.line = append(s.line, b...)
			return len(s.line) <= maxLine
		}
		s.line = append(s.line, b[:end]...)
		b = b[end+1:]
		if len(s.line) > maxLine || !s.header(bytes.TrimSuffix(s.line, []byte{'\r'})) {
			return false
		}
		s.line = s.line[:0]
	}
	return true
}

// header takes a line, which begins with its kind.
func (s *state) header(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	kind := line[0]
	switch kind {
	case '$', '=', '!':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n > maxText {
			return false
		}
		if n >= 0 { // -1 is nothing
			s.skip = n + len("\r\n")
		}
	case '*', '~', '>', '%', '|':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n > maxItems {
			return false
		}
		if kind == '%' || kind == '|' {
			n *= 2
		}
		if kind == '|' { // attributes come before an item and are none
			n++
		}
		if n > 0 {
			s.open = append(s.open, n)
			return len(s.open) <= maxDepth
		}
	}
	s.close()
	return true
}

// close counts an item, and the lists that end with it.
func (s *state) close() {
	for len(s.open) > 0 {
		last := len(s.open) - 1
		if s.open[last]--; s.open[last] > 0 {
			return
		}
		s.open = s.open[:last]
	}
}
