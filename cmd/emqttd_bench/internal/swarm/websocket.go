package swarm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/gobwas/ws"
)

// framing is the WebSocket below one connection: what a turn writes becomes one
// frame, and MQTT is taken out of the broker's frames as it comes.
type framing struct {
	request []byte // not yet sent
	hello   []byte // the CONNECT, until the broker has agreed
	reply   []byte // the broker's answer so far; nil when it is complete
	mark    int    // where the frame begins that is being filled; -1: none
	head    [ws.MaxHeaderSize]byte
	have    int // bytes of head
	op      ws.OpCode
	left    int    // bytes of the frame under way
	ping    []byte // payload of a ping, so far
}

// headRoom is the length of our most frequent header: 126 to 65,535 bytes, masked.
const headRoom = 8

func newFraming(to netip.AddrPort, path string, hello []byte) *framing {
	key := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, rand.Uint64()), rand.Uint64())
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		path, to, base64.StdEncoding.EncodeToString(key))
	return &framing{request: []byte(request), hello: hello, reply: []byte{}, mark: -1}
}

// begin makes room for a header, unless a frame has been begun.
func (f *framing) begin(out []byte) []byte {
	if f.mark < 0 {
		f.mark = len(out)
		out = append(out, make([]byte, headRoom)...)
	}
	return out
}

// end completes the frame that was begun; an empty one is taken back.
func (f *framing) end(out []byte, op ws.OpCode) []byte {
	if f.mark < 0 {
		return out
	}
	h, body := out[f.mark:], out[f.mark+headRoom:]
	f.mark = -1
	n := len(body)
	if n == 0 && op == ws.OpBinary {
		return out[:len(out)-headRoom]
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	ws.Cipher(body, mask, 0)
	const final, masked = 0x80, 0x80
	switch {
	case n < 126:
		copy(h[6:], body)
		out = out[:len(out)-2]
		h[1] = masked | byte(n)
		copy(h[2:6], mask[:])
	case n < 1<<16:
		h[1] = masked | 126
		binary.BigEndian.PutUint16(h[2:], uint16(n))
		copy(h[4:8], mask[:])
	default:
		start := len(out) - n - headRoom
		out = append(out, make([]byte, 6)...)
		h = out[start:]
		copy(h[14:], h[headRoom:headRoom+n])
		h[1] = masked | 127
		binary.BigEndian.PutUint64(h[2:], uint64(n))
		copy(h[10:14], mask[:])
	}
	h[0] = final | byte(op)
	return out
}

// unframe hands the MQTT in bytes of the socket on.
func (c *Conn) unframe(b []byte) {
	f := c.framing
	if f.reply != nil {
		f.reply = append(f.reply, b...)
		end := bytes.Index(f.reply, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(f.reply, []byte("HTTP/1.1 101 ")) {
			line, _, _ := bytes.Cut(f.reply, []byte("\r\n"))
			c.fail(fmt.Errorf("no WebSocket: %s", line))
			return
		}
		b, f.reply = f.reply[end+4:], nil
		c.greet(f.hello)
		f.hello = nil
	}
	for len(b) > 0 && c.live {
		if f.left == 0 && !f.next(&b) {
			return
		}
		n := min(f.left, len(b))
		f.left -= n
		switch f.op {
		case ws.OpClose:
			c.fail(ErrClosed)
		case ws.OpPing:
			c.pong(b[:n])
		case ws.OpPong:
		default:
			c.parse(b[:n])
		}
		b = b[n:]
	}
}

// next takes a frame's header from b; false: there is not all of it.
func (f *framing) next(b *[]byte) bool {
	for {
		need := 2
		if f.have >= 2 {
			switch f.head[1] & 0x7f {
			case 126:
				need = 4
			case 127:
				need = 10
			}
		}
		n := copy(f.head[f.have:need], *b)
		f.have += n
		*b = (*b)[n:]
		switch {
		case f.have < need:
			return false
		case need == 2 && f.head[1]&0x7f >= 126:
			continue
		}
		f.have = 0
		if op := ws.OpCode(f.head[0] & 0xf); op != ws.OpContinuation {
			f.op = op
		}
		switch need {
		case 2:
			f.left = int(f.head[1] & 0x7f)
		case 4:
			f.left = int(binary.BigEndian.Uint16(f.head[2:]))
		case 10:
			f.left = int(binary.BigEndian.Uint64(f.head[2:]) & (1<<62 - 1))
		}
		return true
	}
}

// pong answers a ping when the last of it is there.
func (c *Conn) pong(b []byte) {
	f := c.framing
	f.ping = append(f.ping, b...)
	if f.left > 0 {
		return
	}
	c.touch()
	c.out = f.begin(f.end(c.out, ws.OpBinary))
	c.out = f.end(append(c.out, f.ping...), ws.OpPong)
	f.ping = f.ping[:0]
}
