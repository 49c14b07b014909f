package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/remote"
	"github.com/vmihailenco/msgpack/v5"
)

// The first byte of every body is the version of the rules by which it was written. A reader takes the current one and
// the one before, and msgpack maps let fields be added within one version: old readers skip what they do not know, new
// readers see zero values. So nodes of two consecutive versions understand each other.
const (
	// Version is the newest version that this node reads. Nodes that link agree on the highest one that both read.
	// 1: the command line's messages. 2: links; the rules for bodies are those of 1.
	Version = 2
	// Oldest is the oldest version that this node reads, and the one that Encode writes, because it is not always known
	// who will read. What only a newer version can say is sent to those alone that have agreed to it.
	Oldest = 1
)

// MaxBody is the largest body in bytes which a node accepts. Larger payloads are sent in chunks of 256 KB; the rest is
// head room, and a full batch of 100 still fits the 64 MB receive limit. It also bounds how deep a hostile body can
// nest, and with it the stack of the msgpack decoder.
const MaxBody = 512 << 10

// Serialized is what Serialize methods of messages return.
type Serialized = remote.RootSerialized

// Message is implemented by every message that crosses the wire, on its pointer and in one line:
//
//	func (m *Command) Serialize() (wire.Serialized, error) { return wire.Encode(KindCommand, m) }
type Message = remote.RootSerializable

// Unreadable takes the place of a message whose body could not be decoded: the peer runs another version or is broken.
// The receiving actor treats it as any unexpected message.
type Unreadable struct {
	Kind uint32
	Err  error
}

// Serialize refuses: an unreadable message is not passed on.
func (u *Unreadable) Serialize() (Serialized, error) {
	return nil, fmt.Errorf("wire: kind %d was not readable: %w", u.Kind, u.Err)
}

var (
	errVersion = errors.New("unknown version of the body")
	errKind    = errors.New("unknown kind")

	kinds sync.Map // uint32 → func() any; written at start-up only
)

// Register declares a kind. New returns a pointer to a fresh zero value that implements Message. Kinds are registered
// from init functions or variables; a number used twice is a mistake in the program and panics.
func Register(kind uint32, create func() any) {
	if _, ok := create().(Message); !ok {
		panic(fmt.Sprintf("wire: kind %d does not implement Message", kind))
	}
	if _, dup := kinds.LoadOrStore(kind, create); dup {
		panic(fmt.Sprintf("wire: kind %d is registered twice", kind))
	}
}

// Kinds are the registered kinds, in order.
func Kinds() []uint32 {
	var out []uint32
	kinds.Range(func(kind, _ any) bool {
		out = append(out, kind.(uint32))
		return true
	})
	slices.Sort(out)
	return out
}

// New makes an empty message of a registered kind.
func New(kind uint32) Message {
	create, ok := kinds.Load(kind)
	if !ok {
		return &Unreadable{Kind: kind, Err: errKind}
	}
	return create.(func() any)().(Message)
}

func known(kind uint32) bool {
	_, ok := kinds.Load(kind)
	return ok
}

// Encode builds the frame of a message of a registered kind. The frame shares nothing with v.
func Encode(kind uint32, v any) (Serialized, error) {
	var body bytes.Buffer
	body.WriteByte(Oldest)
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&body)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("wire: encode kind %d: %w", kind, err)
	}
	if body.Len() > MaxBody {
		return nil, fmt.Errorf("wire: kind %d has %d bytes, more than the %d allowed", kind, body.Len(), MaxBody)
	}
	return &Frame{Kind: kind, Data: body.Bytes()}, nil
}

func decode(kind uint32, data []byte) Message {
	create, ok := kinds.Load(kind)
	if !ok {
		return &Unreadable{Kind: kind, Err: errKind}
	}
	if len(data) == 0 || !Readable(data[0]) {
		return &Unreadable{Kind: kind, Err: errVersion}
	}
	v := create.(func() any)()
	if err := msgpack.Unmarshal(data[1:], v); err != nil {
		return &Unreadable{Kind: kind, Err: err}
	}
	return v.(Message)
}

// Readable reports whether this node reads bodies of a version.
func Readable(version byte) bool { return version >= Oldest && version <= Version }

// Decode makes the message of a kind from its body. What cannot be read becomes an
// *Unreadable.
func Decode(kind uint32, body []byte) Message { return decode(kind, body) }

// Open takes a frame that Encode has made apart.
func Open(f Serialized) (kind uint32, body []byte) {
	frame := f.(*Frame) // Encode makes no other
	return frame.Kind, frame.Data
}
