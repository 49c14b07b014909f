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
func next(at unsafe.Pointer, room uint32) uint32

//go:wasmimport emqttd done
func done(verdict uint32, at unsafe.Pointer, n uint32)

//go:wasmimport emqttd log
func log(level uint32, at unsafe.Pointer, n uint32)

//go:wasmimport emqttd setting
func setting(key unsafe.Pointer, n uint32, at unsafe.Pointer, room uint32) uint32

// Run calls functions until the plugin is unloaded.
func Run(functions map[Point]Func) {
	for at := range functions {
		hook(uint32(at))
	}
	buf, out := make([]byte, 4096), []byte(nil)
	for {
		n := next(unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		switch {
		case n == 1<<32-1:
			return
		case n&(1<<31) != 0:
			buf = make([]byte, n&^(1<<31))
			continue
		}
		c := read(buf[:n])
		v := functions[c.Point](&c)
		if v == Changed {
			out = write(out[:0], &c)
		}
		done(uint32(v), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
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

func read(b []byte) (c Call) {
	c.Point, c.QoS, c.Retain = Point(b[0]), b[1], b[2]&1 != 0
	b = b[4:]
	field := func() []byte {
		n := binary.LittleEndian.Uint32(b)
		f := b[4 : 4+n]
		b = b[4+n:]
		return f
	}
	text := func() string { f := field(); return unsafe.String(unsafe.SliceData(f), len(f)) }
	c.ClientID, c.Username, c.Peer, c.Topic = text(), text(), text(), text()
	c.Payload, c.Reason = field(), text()
	return c
}

func write(b []byte, c *Call) []byte {
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
