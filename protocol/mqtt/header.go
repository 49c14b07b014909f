package mqtt

import "strconv"

// Version is a Protocol Level: the byte that follows the protocol name in
// CONNECT.
type Version uint8

// The protocol levels that this package speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// String is the name of the specification.
func (v Version) String() string {
	switch v {
	case V31:
		return "MQTT 3.1"
	case V311:
		return "MQTT 3.1.1"
	case V5:
		return "MQTT 5.0"
	default:
		return "MQTT level " + strconv.Itoa(int(v))
	}
}

// PacketType is a Control Packet type (MQTT 2.2.1; 5.0: 2.1.2).
type PacketType uint8

// All Control Packet types. 0 is reserved; AUTH exists in MQTT 5 only.
const (
	CONNECT     PacketType = 1
	CONNACK     PacketType = 2
	PUBLISH     PacketType = 3
	PUBACK      PacketType = 4
	PUBREC      PacketType = 5
	PUBREL      PacketType = 6
	PUBCOMP     PacketType = 7
	SUBSCRIBE   PacketType = 8
	SUBACK      PacketType = 9
	UNSUBSCRIBE PacketType = 10
	UNSUBACK    PacketType = 11
	PINGREQ     PacketType = 12
	PINGRESP    PacketType = 13
	DISCONNECT  PacketType = 14
	AUTH        PacketType = 15
)

var typeText = [16]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String is the name of the packet in the specification.
func (t PacketType) String() string {
	if int(t) < len(typeText) {
		return typeText[t]
	}
	return strconv.Itoa(int(t))
}

// MaxRemaining is the largest Remaining Length that four bytes can say.
const MaxRemaining = 268_435_455

// reservedFlags are the lower four bits that every type but PUBLISH must carry.
// [MQTT-2.2.2-1]
var reservedFlags = [16]byte{PUBREL: 0b0010, SUBSCRIBE: 0b0010, UNSUBSCRIBE: 0b0010}

// dupFlag is DUP in PUBLISH, and in 3.1 also in PUBREL, SUBSCRIBE, UNSUBSCRIBE.
const dupFlag = 0b1000

// Header is a fixed header.
type Header struct {
	// Remaining is how many bytes follow the fixed header.
	Remaining int
	Type      PacketType
	// Flags are the lower four bits of the first byte.
	Flags byte
	// Padded says that Remaining Length was written in more bytes than it
	// needs. 3.x does not forbid it and small devices do it; 5.0 does.
	Padded bool
}

// ParseHeader reads the fixed header at the start of b. n is its length; n == 0
// without an error means that more bytes are needed. What is wrong is told as
// soon as the byte that says so is there: a packet of more than maxRemaining
// bytes after its fixed header is refused before any of them is read. A
// maxRemaining of 0 or less, or above MaxRemaining, means MaxRemaining.
//
// Rules that depend on the Version are left to Header.Check, which every Decode
// calls.
func ParseHeader(b []byte, maxRemaining int) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	h.Type, h.Flags = PacketType(b[0]>>4), b[0]&0x0f
	if h.Type != PUBLISH {
		if h.Type == 0 {
			return Header{}, 0, ErrReservedType
		}
		want := reservedFlags[h.Type]
		if h.Flags != want && (want == 0 || h.Flags != want|dupFlag) {
			return Header{}, 0, ErrReservedFlags // [MQTT-2.2.2-2]
		}
	}
	for i := 1; i < len(b); i++ {
		c := b[i]
		h.Remaining |= int(c&0x7f) << (7 * (i - 1))
		if c < 0x80 {
			h.Padded = c == 0 && i > 1
			return h.bounded(i+1, maxRemaining)
		}
		if i == 4 {
			return Header{}, 0, ErrMalformedRemainingLength
		}
	}
	return Header{}, 0, nil
}

// bounded finishes ParseHeader once the Remaining Length is known.
func (h Header) bounded(n, maxRemaining int) (Header, int, error) {
	if maxRemaining > 0 && h.Remaining > maxRemaining {
		return Header{}, 0, ErrFrameTooLarge
	}
	if h.Remaining > 0 && (h.Type == PINGREQ || h.Type == PINGRESP) {
		return Header{}, 0, ErrTrailingBytes
	}
	return h, n, nil
}

// Check applies the rules on fixed headers that depend on the version. Each
// Decode does it; the caller does it for PINGREQ and PINGRESP, which have
// nothing to decode.
func (h Header) Check(v Version) error {
	switch {
	case v == V5:
		if h.Padded {
			return ErrMalformedRemainingLength // [MQTT-1.5.5-1]
		}
	case h.Type == AUTH:
		return ErrReservedType
	case v == V31:
		return nil // DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE (3.1, 2.1)
	}
	if h.Flags&dupFlag != 0 && h.Type != PUBLISH {
		return ErrReservedFlags // [MQTT-2.2.2-2]
	}
	return nil
}

// appendHeader writes a fixed header. More than MaxRemaining cannot be written:
// a caller who lets a packet grow so far has a bug, and a wrong length would
// desynchronise the peer silently.
func appendHeader(dst []byte, t PacketType, flags byte, remaining int) []byte {
	if remaining > MaxRemaining {
		panic("mqtt: " + t.String() + " exceeds the largest Remaining Length")
	}
	return appendVarint(append(dst, byte(t)<<4|flags), uint32(remaining))
}

// packetSize is the length on the wire of a packet with so many bytes after its
// fixed header.
func packetSize(remaining int) int { return 1 + varintSize(uint32(remaining)) + remaining }
