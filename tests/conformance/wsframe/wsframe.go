// Package wsframe is as much of WebSocket (RFC 6455) as the conformance suite
// needs: a client, and the server's side for the wrong broker. A Conn carries a
// stream of bytes as binary frames, one frame for each Write.
package wsframe

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the handshake of WebSocket uses it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Opcodes of frames.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// maxFrame bounds what a peer makes us allocate.
const maxFrame = 64 << 20

// Conn is one end of a WebSocket.
type Conn struct {
	net.Conn
	Protocol string // the subprotocol that the server has selected
	r        *bufio.Reader
	client   bool
	rest     []byte
}

// Dial connects to a ws:// address and offers a subprotocol.
func Dial(address, protocol string, timeout time.Duration) (*Conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", u.Host, timeout)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(timeout))
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	text := base64.StdEncoding.EncodeToString(key)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", u.RequestURI(), u.Host, text, protocol)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != accept(text) {
		_ = c.Close()
		return nil, errors.Join(err, fmt.Errorf("no WebSocket at %s", address))
	}
	_ = c.SetDeadline(time.Time{})
	return &Conn{Conn: c, Protocol: resp.Header.Get("Sec-WebSocket-Protocol"), r: r, client: true}, nil
}

// Upgrade answers the handshake of a client with a subprotocol.
func Upgrade(c net.Conn, protocol string) (*Conn, error) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", accept(req.Header.Get("Sec-WebSocket-Key")), protocol)
	return &Conn{Conn: c, Protocol: protocol, r: r}, err
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + guid)) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Write sends a binary frame.
func (c *Conn) Write(b []byte) (int, error) { return len(b), c.WriteFrame(Binary, b) }

// WriteFrame sends a frame of any kind.
func (c *Conn) WriteFrame(opcode byte, b []byte) error {
	h := []byte{0x80 | opcode}
	switch n := len(b); {
	case n < 126:
		h = append(h, byte(n))
	case n < 1<<16:
		h = binary.BigEndian.AppendUint16(append(h, 126), uint16(n))
	default:
		h = binary.BigEndian.AppendUint64(append(h, 127), uint64(n))
	}
	if c.client {
		h[1] |= 0x80
		h = append(h, 0, 0, 0, 0) // a mask that changes nothing is a mask
	}
	_, err := c.Conn.Write(append(h, b...))
	return err
}

// ReadFrame reads a frame, unmasked.
func (c *Conn) ReadFrame() (opcode byte, payload []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	if size := map[uint64]int{126: 2, 127: 8}[n]; size > 0 {
		var b [8]byte
		if _, err := io.ReadFull(c.r, b[8-size:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	var mask [4]byte
	if h[1]&0x80 != 0 {
		if _, err := io.ReadFull(c.r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return 0, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return h[0] & 15, payload, nil
}

// Read reads the stream in binary frames. It answers pings; another kind of
// frame ends the stream.
func (c *Conn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		op, payload, err := c.ReadFrame()
		if err != nil {
			return 0, err
		}
		switch op {
		case Binary, Continuation:
			c.rest = payload
		case Ping:
			if err := c.WriteFrame(Pong, payload); err != nil {
				return 0, err
			}
		case Pong:
		default:
			return 0, io.EOF
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
