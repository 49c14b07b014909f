package routes

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/actors/topics"
	"emqttd/cluster/wire"
	"emqttd/protocol/topic"
)

// The kinds of the control lane, and of the data lane.
const (
	kindTale = wire.KindRoutes + iota
	kindHeard
	kindAccepted
	kindFailed
	kindRepeat
	kindMessages // data lane
)

func init() {
	wire.Register(kindTale, func() any { return new(tale) })
	wire.Register(kindHeard, func() any { return new(heard) })
	wire.Register(kindAccepted, func() any { return new(accepted) })
	wire.Register(kindFailed, func() any { return new(failed) })
	wire.Register(kindRepeat, func() any { return new(repeat) })
}

// tale is a topics.Tale, or a part of one: More says that the next one of the shard
// goes on with it. Shards is how many shards the sender has.
type tale struct {
	Shard   int
	Shards  int
	Number  uint64
	More    bool
	Whole   bool
	Count   int64
	Sum     uint64
	First   bool
	Changes []byte // each an array: flags, filter, and of a group its name and weight
}

// heard says that the tales of a shard up to a number have been applied.
type heard struct {
	Shard  int
	Number uint64
}

// accepted says of messages with these ids that they are as safe as the classes of
// those who keep them promise, failed that they are not and will not be.
type (
	accepted struct {
		IDs []uint64
	}
	failed struct {
		IDs []uint64
	}
)

// repeat asks a node to tell all of its routes again: they do not add up here.
type repeat struct{}

// Serialize makes it a wire.Message.
func (m *tale) Serialize() (wire.Serialized, error) { return wire.Encode(kindTale, m) }

// Serialize makes it a wire.Message.
func (m *heard) Serialize() (wire.Serialized, error) { return wire.Encode(kindHeard, m) }

// Serialize makes it a wire.Message.
func (m *accepted) Serialize() (wire.Serialized, error) { return wire.Encode(kindAccepted, m) }

// Serialize makes it a wire.Message.
func (m *failed) Serialize() (wire.Serialized, error) { return wire.Encode(kindFailed, m) }

// Serialize makes it a wire.Message.
func (m *repeat) Serialize() (wire.Serialized, error) { return wire.Encode(kindRepeat, m) }

const (
	changeGone  = 1
	changeGroup = 2

	// taleBytes is what a message carries of changes, but for the last one.
	taleBytes = 128 << 10
)

// tales makes messages of what a shard tells.
func tales(t *topics.Tale, shards int) []*tale {
	var all []*tale
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf) // its errors are those of buf, which has none
	cut := func(more bool) {
		all = append(all, &tale{Shard: t.Shard, Shards: shards, Number: t.Number, More: more, Changes: bytes.Clone(buf.Bytes())})
		buf.Reset()
	}
	for i := range t.Changes {
		if buf.Len() >= taleBytes {
			cut(true)
		}
		encodeChange(e, &t.Changes[i])
	}
	cut(false)
	all[0].First = t.First
	last := all[len(all)-1]
	last.Whole, last.Count, last.Sum = t.Whole, t.Digest.Count, t.Digest.Sum
	return all
}

func encodeChange(e *msgpack.Encoder, c *topics.Change) {
	flags := uint64(0)
	if c.Gone {
		flags |= changeGone
	}
	if c.Group == "" {
		_ = e.EncodeArrayLen(2)
		_ = e.EncodeUint(flags)
		_ = e.EncodeString(string(c.Filter))
		return
	}
	_ = e.EncodeArrayLen(4)
	_ = e.EncodeUint(flags | changeGroup)
	_ = e.EncodeString(string(c.Filter))
	_ = e.EncodeString(c.Group)
	_ = e.EncodeUint(uint64(c.Weight))
}

// changes decodes what encodeChange has encoded. The texts are parts of m.
func (m *tale) changes() ([]topics.Change, error) {
	var f frameReader
	f.reset(m.Changes, 0, 0)
	list := make([]topics.Change, 0, len(m.Changes)/24+1)
	for f.more() {
		c, err := f.change()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (f *frameReader) change() (c topics.Change, err error) {
	n, err := f.dec.DecodeArrayLen()
	if err != nil {
		return c, err
	}
	known := 2
	flags, text := f.uint(&err), f.text(&err)
	c.Gone = flags&changeGone != 0
	if err == nil {
		c.Filter, err = topic.ParseFilter(text)
	}
	if flags&changeGroup != 0 {
		known = 4
		c.Group, c.Weight = f.text(&err), uint32(f.uint(&err))
		if err == nil && c.Group == "" {
			err = topic.ErrShareName
		}
	}
	for ; err == nil && n > known; n-- {
		err = f.dec.Skip()
	}
	if err == nil && n < known {
		err = fmt.Errorf("a change with %d fields: %w", n, errShort)
	}
	return c, err
}
