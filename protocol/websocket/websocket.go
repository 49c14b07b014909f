// Package websocket is the framing of WebSocket (RFC 6455) as a server of MQTT
// sees it: it takes the frames of a client apart in the buffer they were read
// into, and makes the headers of its own.
//
// It holds no socket and no buffer. A Parser is what a connection remembers
// between two reads, a few bytes.
package websocket

import (
	"encoding/binary"
	"math"
)

// Opcode is the type of a frame.
type Opcode byte

// The opcodes of RFC 6455, 5.2.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Status is the reason in a Close frame.
type Status uint16

// The status codes that a server of MQTT sends.
const (
	NormalClosure   Status = 1000
	GoingAway       Status = 1001
	ProtocolError   Status = 1002
	UnsupportedData Status = 1003
	TooBig          Status = 1009
)

// MaxHeader is the length of the longest header of a server's frame.
const MaxHeader = 10

// MaxControl is the longest payload of a control frame.
const MaxControl = 125

// Error is a violation of the protocol by the client. The connection is to be
// closed with Status.
type Error struct {
	Status Status
	Reason string // as metrics show it
}

func (e *Error) Error() string { return "websocket: " + e.Reason }

// The violations.
var (
	ErrReserved = &Error{ProtocolError, "ws_reserved_bits"}
	ErrOpcode   = &Error{ProtocolError, "ws_bad_opcode"}
	ErrUnmasked = &Error{ProtocolError, "ws_unmasked"}
	ErrText     = &Error{UnsupportedData, "ws_text_frame"} // [MQTT-6.0.0-1]
	ErrSequence = &Error{ProtocolError, "ws_bad_sequence"}
	ErrControl  = &Error{ProtocolError, "ws_bad_control_frame"}
	ErrLength   = &Error{ProtocolError, "ws_bad_length"}
	ErrTooBig   = &Error{TooBig, "ws_frame_too_large"}
)

// Control is a control frame of the client. Its Payload is its own.
type Control struct {
	Opcode  Opcode
	Payload []byte
}

// Parser takes the frames of one client apart. The zero value expects the first
// byte of the first frame.
type Parser struct {
	// MaxFrame bounds the payload of a frame; 0 is no bound. Payload is passed
	// on as it comes, so that a large frame takes no memory.
	MaxFrame uint32

	have    uint8 // bytes of header
	header  [14]byte
	control *Control // under way
	left    uint64   // of the frame's payload
	at      uint8    // into the mask
	within  bool     // a fragmented message
	payload bool     // the header is complete
}

// Parse goes through the bytes b[r:] that a client sent. It moves the payload
// of data frames, unmasked, down to b[w:], where w must not be above r. It
// returns the end of what it wrote and the beginning of what it has not read:
// that is len(b), unless a control frame is complete, which it returns.
//
// After an error the Parser must not be used any more; what was written before
// it is good.
func (p *Parser) Parse(b []byte, w, r int) (written, read int, c *Control, err error) {
	for {
		if !p.payload {
			if r, err = p.head(b, r); err != nil || !p.payload {
				return w, r, nil, err
			}
		}
		n := len(b) - r
		if uint64(n) > p.left {
			n = int(p.left)
		}
		chunk := b[r : r+n]
		r += n
		p.left -= uint64(n)
		if p.control != nil {
			start := len(p.control.Payload)
			p.control.Payload = append(p.control.Payload, chunk...)
			p.unmask(p.control.Payload[start:], p.control.Payload[start:])
		} else {
			p.unmask(b[w:w+n], chunk)
			w += n
		}
		if p.left > 0 {
			return w, r, nil, nil
		}
		p.payload, p.have = false, 0
		if c, p.control = p.control, nil; c != nil {
			return w, r, c, nil
		}
	}
}

// head takes bytes of the frame's header, until it is complete or they end.
func (p *Parser) head(b []byte, r int) (int, error) {
	for need := p.need(); ; need = p.need() {
		n := copy(p.header[p.have:need], b[r:])
		p.have += uint8(n)
		r += n
		switch {
		case int(p.have) < need:
			return r, nil
		case need > 2:
			return r, p.begin()
		}
		if err := p.check(); err != nil {
			return r, err
		}
	}
}

// need is how long the header is, as far as is known.
func (p *Parser) need() int {
	if p.have < 2 {
		return 2
	}
	switch p.header[1] & 0x7f {
	case 126:
		return 8
	case 127:
		return 14
	default:
		return 6
	}
}

// check judges the first two bytes of a header.
func (p *Parser) check() error {
	op, length := Opcode(p.header[0]&0x0f), p.header[1]&0x7f
	final := p.header[0]&0x80 != 0
	switch {
	case p.header[0]&0x70 != 0: // no extension was negotiated
		return ErrReserved
	case p.header[1]&0x80 == 0: // RFC 6455, 5.1
		return ErrUnmasked
	}
	switch op {
	case Close, Ping, Pong:
		if !final || length > MaxControl {
			return ErrControl
		}
	case Text:
		return ErrText
	case Binary, Continuation:
		if p.within != (op == Continuation) {
			return ErrSequence
		}
		p.within = !final
	default:
		return ErrOpcode
	}
	return nil
}

// begin starts the payload of the frame whose header is complete.
func (p *Parser) begin() error {
	switch length := p.header[1] & 0x7f; length {
	case 126:
		if p.left = uint64(binary.BigEndian.Uint16(p.header[2:])); p.left < 126 {
			return ErrLength
		}
	case 127:
		if p.left = binary.BigEndian.Uint64(p.header[2:]); p.left <= math.MaxUint16 || p.left > math.MaxInt64 {
			return ErrLength
		}
	default:
		p.left = uint64(length)
	}
	if p.MaxFrame > 0 && p.left > uint64(p.MaxFrame) {
		return ErrTooBig
	}
	if op := Opcode(p.header[0] & 0x0f); op >= Close {
		p.control = &Control{Opcode: op, Payload: make([]byte, 0, p.left)}
	}
	copy(p.header[:4], p.header[p.have-4:]) // the mask
	p.payload, p.at = true, 0
	return nil
}

// unmask writes src to dst, which may lie below it in the same buffer.
func (p *Parser) unmask(dst, src []byte) {
	mask := p.header[:4]
	var key [8]byte
	for i := range key {
		key[i] = mask[(int(p.at)+i)&3]
	}
	word := binary.NativeEndian.Uint64(key[:])
	n := len(src)
	p.at = uint8((int(p.at) + n) & 3)
	for len(src) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(src)^word)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ key[i]
	}
}

// AppendHeader appends the header of an unfragmented frame of a server with n
// bytes of payload, at most MaxHeader bytes.
func AppendHeader(dst []byte, op Opcode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= math.MaxUint16:
		return append(dst, 126, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}

// AppendControl appends a control frame of a server. What is longer than
// MaxControl is cut off.
func AppendControl(dst []byte, op Opcode, payload []byte) []byte {
	payload = payload[:min(len(payload), MaxControl)]
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendClose appends a Close frame with a status.
func AppendClose(dst []byte, s Status) []byte {
	return AppendControl(dst, Close, []byte{byte(s >> 8), byte(s)})
}
