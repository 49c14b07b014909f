package connections

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// handshakeBuffers are the places in a tls.Conn of the buffers in which the
// handshake was read. They keep the size of the ClientHello, 3.5 KB in all, for
// as long as the connection lives, and there is no other way to let go of that.
// Should a later Go have other fields, there are none here, and more memory is
// used.
var handshakeBuffers = func() (at []uintptr) {
	for _, name := range []string{"hand", "rawInput"} {
		f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
		if ok && f.Type == reflect.TypeFor[bytes.Buffer]() {
			at = append(at, f.Offset)
		}
	}
	return at
}()

// shrink lets go of what the handshake of c has left behind. Nobody else may use
// c meanwhile.
func shrink(c *tls.Conn) {
	for _, at := range handshakeBuffers {
		b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), at)) // is one, by its type
		*b = *bytes.NewBuffer(bytes.Clone(b.Bytes()))           // what came behind the handshake
	}
}
