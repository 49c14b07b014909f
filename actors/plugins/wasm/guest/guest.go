//go:build wasip1

// Package guest is how a plugin that is a WebAssembly module, written in Go, talks
// to the broker. Its main calls Run with what it wants to be asked about:
//
//	func main() {
//		guest.Run(map[guest.Point]guest.Func{
//			guest.MessagePublish: func(c *guest.Call) guest.Verdict { … },
//		})
//	}
//
// It is built with GOOS=wasip1 GOARCH=wasm.
package guest

import (
	"encoding/binary"
	"unsafe"
)

// Point names a place where a function is called.
type Point uint32

// The points, in the order of package hooks.
const (
	ClientConnected Point = iota
	ClientDisconnected
	ClientSubscribe
	ClientUnsubscribe
	SessionCreated
	SessionSubscribed
	SessionUnsubscribed
	SessionTerminated
	MessagePublish
	MessageDelivered
	MessageAcked
)

// Call is what happens. Texts and payload are valid until the function returns.
type Call struct {
	Point    Point
	ClientID string
	Username string
	Peer     string // IP address
	Topic    string // of the message, or the filter of the subscription
	Payload  []byte
	Reason   string // of a disconnect or an end
	QoS      byte
	Retain   bool
}

// Verdict is what a function decides.
type Verdict uint32

// The verdicts. Stop takes the thing back where that is possible: the message is
// not published, the filter not subscribed. Changed, for MessagePublish, publishes
// what Topic, Payload, QoS and Retain are now.
const (
	Continue Verdict = iota
	Stop
	Changed
)

// Func judges a call.
type Func func(c *Call) Verdict

//go:wasmimport emqttd hook
func hook(point uint32)

//go:wasmimport emqttd next
func next(verdict uint32, out unsafe.Pointer, n uint32, at unsafe.Pointer, room uint32) uint32

//go:wasmimport emqttd log
func log(level uint32, at unsafe.Pointer, n uint32)

//go:wasmimport emqttd setting
func setting(key unsafe.Pointer, n uint32, at unsafe.Pointer, room uint32) uint32

// The results of next that are no length: there is no more work, and, as a bit
// beside the length, that the buffer is too short.
const (
	end      = 1<<32 - 1
	tooShort = 1 << 31
)

// Run calls functions until the plugin is unloaded.
//
// What it does for each call is kept short, without allocations, loops and calls of
// functions that are not inlined: the host looks at each of them whether the time is
// over.
func Run(functions map[Point]Func) {
	var at [MessageAcked + 1]Func
	for point, f := range functions {
		hook(uint32(point))
		at[point] = f
	}
	var c Call // one for all: it would escape to the heap
	var v Verdict
	buf, out := make([]byte, 4096), []byte(nil)
	for {
		n := next(uint32(v), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)), unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		switch {
		case n == end:
			return
		case n&tooShort != 0:
			buf, v = make([]byte, n&^tooShort), Continue
			continue
		}
		c.read(buf[:n])
		if v = at[c.Point](&c); v == Changed {
			out = c.write(out[:0])
		}
	}
}

// Log writes a line into the broker's log; level is 0 for debug to 3 for error.
func Log(level int, text string) {
	log(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// Setting is a value of the plugin's file.
func Setting(key string) (value string, ok bool) {
	buf := make([]byte, 256)
	for {
		n := setting(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		switch {
		case n == 1<<32-1:
			return "", false
		case int(n) <= len(buf):
			return string(buf[:n]), true
		}
		buf = make([]byte, n)
	}
}

// read takes a record apart. The host has made it, so that it is whole.
func (c *Call) read(b []byte) {
	c.Point, c.QoS, c.Retain = Point(b[0]), b[1], b[2]&1 != 0
	b = b[4:]
	n := binary.LittleEndian.Uint32(b)
	c.ClientID, b = text(b[4:], n), b[4+n:]
	n = binary.LittleEndian.Uint32(b)
	c.Username, b = text(b[4:], n), b[4+n:]
	n = binary.LittleEndian.Uint32(b)
	c.Peer, b = text(b[4:], n), b[4+n:]
	n = binary.LittleEndian.Uint32(b)
	c.Topic, b = text(b[4:], n), b[4+n:]
	n = binary.LittleEndian.Uint32(b)
	c.Payload, b = b[4:4+n:4+n], b[4+n:]
	c.Reason = text(b[4:], binary.LittleEndian.Uint32(b))
}

func text(b []byte, n uint32) string { return unsafe.String(unsafe.SliceData(b), n) }

// write appends the record of c to b.
func (c *Call) write(b []byte) []byte {
	var flags byte
	if c.Retain {
		flags = 1
	}
	b = append(b, byte(c.Point), c.QoS, flags, 0)
	for _, s := range [...]string{c.ClientID, c.Username, c.Peer, c.Topic} {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(c.Payload))), c.Payload...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(c.Reason))), c.Reason...)
}
