package replicas

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/cluster/replicas/lww"
	"emqttd/cluster/wire"
)

// what a frame is about.
type what uint8

const (
	have    what = iota + 1 // puller → holder: my digest, begin a round
	want                    // holder → puller: tell me your marks in these buckets
	marks                   // puller → holder: some of them
	entries                 // to anybody: newer entries, of a round or live
	end                     // holder → puller: you have all of it now
	thanks                  // puller → holder: I do
	late                    // holder → puller: I could not tell you all, begin a round
	part                    // a piece of a frame that is too long for one; Round numbers the frame
)

// frame is what goes over the data lane.
type frame struct {
	What  what   `msgpack:"w"`
	Round uint32 `msgpack:"r,omitempty"`
	Last  bool   `msgpack:"l,omitempty"` // marks: no more of them; part: the last one
	// Blob is the digest, the set of buckets, the marks or the entries. Numbers in
	// it are little endian.
	Blob []byte `msgpack:"b,omitempty"`
}

var errFrame = errors.New("a frame of a replica has the wrong length")

func (f *frame) encode() []byte {
	b, err := msgpack.Marshal(f)
	if err != nil {
		panic(fmt.Sprintf("replicas: %v", err)) // our own types always encode
	}
	return append([]byte{wire.Version}, b...)
}

// maxFrame is how long a body is at most; what is longer goes in pieces.
const maxFrame = 256 << 10

// pieces are the bodies that a frame goes in.
func (f *frame) pieces(number func() uint32) [][]byte {
	body := f.encode()
	if len(body) <= maxFrame+1024 {
		return [][]byte{body}
	}
	var out [][]byte
	n := number()
	for len(body) > 0 {
		k := min(len(body), maxFrame)
		p := frame{What: part, Round: n, Last: k == len(body), Blob: body[:k]}
		out = append(out, p.encode())
		body = body[k:]
	}
	return out
}

func decodeFrame(body []byte) (f frame, err error) {
	if len(body) == 0 || body[0] != wire.Version {
		return f, errors.New("a frame of a replica has an unknown version")
	}
	if err = msgpack.Unmarshal(body[1:], &f); err != nil {
		return f, fmt.Errorf("a frame of a replica: %w", err)
	}
	return f, nil
}

func putWords(words []uint64) []byte {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// words reads exactly as many numbers as into has room for.
func (f *frame) words(into []uint64) error {
	if len(f.Blob) != 8*len(into) {
		return errFrame
	}
	for i := range into {
		into[i] = binary.LittleEndian.Uint64(f.Blob[8*i:])
	}
	return nil
}

func (f *frame) digest() (*lww.Digest, error) {
	d := new(lww.Digest)
	return d, f.words(d[:])
}

func (f *frame) set() (s lww.Set, err error) {
	return s, f.words(s[:])
}

func (f *frame) marks() (lww.Marks, error) {
	m := make(lww.Marks, len(f.Blob)/8)
	return m, f.words(m)
}
