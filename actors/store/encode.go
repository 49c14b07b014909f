package store

import (
	"encoding/binary"

	"emqttd/protocol"
)

// recordVersion is the first byte of every record. A record of another version
// is one that this program cannot read.
const recordVersion = 1

const (
	flagQoS     = 0x03
	flagRetain  = 0x04
	flagSys     = 0x08 // message
	flagExpires = 0x10 // message
	flagSubID   = 0x08 // item
	flagMoreIDs = 0x10 // item
	flagShared  = 0x20 // item
	flagGone    = 0x40 // retained message: a tombstone, without a message
)

const (
	flagClean     = 0x01
	flagConnected = 0x02
	flagWill      = 0x04
	flagOwner     = 0x08
	flagMoving    = 0x10
)

const (
	flagNoLocal           = 0x04
	flagRetainAsPublished = 0x08
)

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flag(on bool, f byte) byte {
	if on {
		return f
	}
	return 0
}

// appendMessage appends a message as it stands inside a record.
func appendMessage(b []byte, m *protocol.Message) []byte {
	flags := byte(m.QoS)&flagQoS | flag(m.Retain, flagRetain) | flag(m.Sys, flagSys) | flag(m.Expires != 0, flagExpires)
	b = binary.AppendVarint(append(b, flags), m.Arrived)
	if m.Expires != 0 {
		b = binary.AppendVarint(b, m.Expires-m.Arrived)
	}
	b = appendText(b, m.Topic)
	b = appendText(b, m.From)
	b = appendText(b, m.Properties)
	return appendText(b, m.Payload)
}

func appendSession(b []byte, s *Session) []byte {
	flags := flag(s.Clean, flagClean) | flag(s.Connected, flagConnected) | flag(s.Will != nil, flagWill) |
		flag(s.Owner != "", flagOwner) | flag(s.Moving, flagMoving)
	b = appendText(append(b, recordVersion, flags), s.ClientID)
	if s.Owner != "" {
		b = appendText(b, s.Owner)
	}
	b = binary.AppendVarint(b, s.Created)
	b = binary.AppendVarint(b, s.Expiry)
	b = binary.AppendVarint(b, s.Expires)
	if w := s.Will; w != nil {
		b = binary.AppendVarint(b, w.Delay)
		b = binary.AppendVarint(b, w.Expiry)
		b = binary.AppendVarint(b, w.Due)
		b = appendMessage(b, w.Message)
	}
	return b
}

func appendSubscription(b []byte, s *Subscription) []byte {
	flags := byte(s.QoS)&flagQoS | flag(s.NoLocal, flagNoLocal) | flag(s.RetainAsPublished, flagRetainAsPublished)
	return binary.AppendUvarint(append(b, recordVersion, flags), uint64(s.ID))
}

// appendItem appends the record of an item: with its message inside, or, if mid
// is not 0, with the name of the message's own record and the message's size.
func appendItem(b []byte, it *Item, mid uint64) []byte {
	flags := byte(it.QoS)&flagQoS | flag(it.Retain, flagRetain) | flag(it.SubID != 0, flagSubID) |
		flag(len(it.MoreIDs) > 0, flagMoreIDs) | flag(mid != 0, flagShared)
	b = append(b, recordVersion, flags)
	if it.SubID != 0 {
		b = binary.AppendUvarint(b, uint64(it.SubID))
	}
	if len(it.MoreIDs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(it.MoreIDs)))
		for _, id := range it.MoreIDs {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	if mid != 0 {
		return binary.AppendUvarint(binary.AppendUvarint(b, mid), uint64(it.Message.Size()))
	}
	return appendMessage(b, it.Message)
}

// nextID is the packet identifier that is handed out after id.
func nextID(id protocol.PacketID) protocol.PacketID {
	if id++; id == 0 {
		id = 1
	}
	return id
}

// appendWindow appends a window with its flights as runs: in a window that
// moves along, all flights are one run of some ten bytes.
func appendWindow(b []byte, w *Window) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(w.LastID))
	b = binary.AppendUvarint(b, w.NextSeq)
	b = binary.AppendUvarint(b, uint64(len(w.Heads)))
	for _, h := range w.Heads {
		b = binary.AppendVarint(b, int64(h.Priority))
		b = binary.AppendUvarint(b, h.Seq)
	}
	for i := 0; i < len(w.Flights); {
		n := runLength(w.Flights[i:])
		f := &w.Flights[i]
		b = binary.AppendUvarint(b, uint64(n))
		b = binary.AppendUvarint(b, uint64(f.ID))
		b = append(b, f.Phase)
		b = binary.AppendVarint(b, int64(f.Priority))
		b = binary.AppendVarint(b, int64(f.Seq-w.NextSeq)) // flights are recent: a small number
		i += n
	}
	return b
}

// runLength is how many flights follow on each other from the first.
func runLength(fs []Flight) int {
	n := 1
	for ; n < len(fs); n++ {
		last, f := &fs[n-1], &fs[n]
		if f.ID != nextID(last.ID) || f.Seq != last.Seq+1 || f.Phase != last.Phase || f.Priority != last.Priority {
			break
		}
	}
	return n
}

func appendAwaiting(b []byte, at int64) []byte {
	return binary.AppendVarint(append(b, recordVersion), at)
}
