package store

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

func drawMessage(t *rapid.T) *protocol.Message {
	m := &protocol.Message{
		Topic: topic.Name(rapid.String().Draw(t, "topic")), From: rapid.String().Draw(t, "from"),
		Arrived: rapid.Int64Range(0, 1<<45).Draw(t, "arrived"), QoS: protocol.QoS(rapid.IntRange(0, 2).Draw(t, "qos")),
		Retain: rapid.Bool().Draw(t, "retain"), Sys: rapid.Bool().Draw(t, "sys"),
		Expires: rapid.SampledFrom([]int64{0, 1, 1 << 44}).Draw(t, "expires"),
	}
	if b := rapid.SliceOf(rapid.Byte()).Draw(t, "payload"); len(b) > 0 {
		m.Payload = b
	}
	if b := rapid.SliceOf(rapid.Byte()).Draw(t, "properties"); len(b) > 0 {
		m.Properties = b
	}
	return m
}

func TestAMessageComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := appendMessage([]byte{recordVersion}, m)
		got, err := decodeMessage(b, &memory{})
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
		d := record(b)
		if size := d.skipMessage(); size != m.Size() || d.end() != nil {
			t.Fatalf("size %d, want %d", size, m.Size())
		}
	})
}

func TestARetainedMessageComesBackWithItsVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retained{Version: lww.Version{Stamp: rapid.Uint64().Draw(t, "stamp"), Origin: rapid.Uint32().Draw(t, "origin")}}
		if rapid.Bool().Draw(t, "message") {
			r.Message = drawMessage(t)
			r.Message.Topic = "" // it is in the key
		}
		if got, err := decodeRetained(appendRetained(nil, &r), &memory{}); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%+v became %+v, %v", r, got, err)
		}
	})
}

func TestARetainedMessageOfAnOlderBrokerHasTheOldestVersion(t *testing.T) {
	m := message(1)
	m.Topic = ""
	r, err := decodeRetained(appendMessage([]byte{recordVersion}, m), &memory{})
	if err != nil || !reflect.DeepEqual(r, Retained{Message: m}) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnItemComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := Item{
			Message: drawMessage(t), QoS: protocol.QoS(rapid.IntRange(0, 2).Draw(t, "qos")), Retain: rapid.Bool().Draw(t, "retain"),
			SubID: rapid.Uint32().Draw(t, "id"), MoreIDs: rapid.SliceOfN(rapid.Uint32(), 1, 5).Draw(t, "ids"),
		}
		r, err := decodeItem(appendItem(nil, &it, 0), &memory{})
		if err != nil || !reflect.DeepEqual(r.Item, it) || r.size != it.Message.Size() {
			t.Fatalf("%+v became %+v, %v", it, r, err)
		}
		r, err = decodeItem(appendItem(nil, &it, 77), nil)
		if err != nil || !r.Shared || r.mid != 77 || r.size != it.Message.Size() {
			t.Fatalf("shared: %+v, %v", r, err)
		}
	})
}

func TestASessionComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{
			ClientID: rapid.String().Draw(t, "client"), Owner: rapid.String().Draw(t, "owner"), Created: rapid.Int64().Draw(t, "created"), Clean: rapid.Bool().Draw(t, "clean"),
			Connected: rapid.Bool().Draw(t, "connected"), Expiry: rapid.Int64().Draw(t, "expiry"), Expires: rapid.Int64().Draw(t, "expires"),
		}
		if rapid.Bool().Draw(t, "will") {
			s.Will = &Will{Message: drawMessage(t), Delay: rapid.Int64().Draw(t, "delay"), Expiry: 3, Due: rapid.Int64().Draw(t, "due")}
		}
		got, err := decodeSession(appendSession(nil, s))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v became %+v, %v", s, got, err)
		}
	})
}

func TestAWindowComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Window{LastID: protocol.PacketID(rapid.Uint16().Draw(t, "last")), NextSeq: rapid.Uint64().Draw(t, "next")}
		for _, p := range rapid.SliceOfN(rapid.Int16(), 0, 3).Draw(t, "levels") {
			w.Heads = append(w.Heads, Head{Priority: p, Seq: rapid.Uint64().Draw(t, "head")})
		}
		f := Flight{ID: protocol.PacketID(rapid.Uint16Range(1, 65535).Draw(t, "first")), Seq: rapid.Uint64().Draw(t, "seq")}
		for range rapid.IntRange(0, 100).Draw(t, "flights") {
			w.Flights = append(w.Flights, f)
			f.ID, f.Seq = nextID(f.ID), f.Seq+1
			switch rapid.IntRange(0, 20).Draw(t, "then") {
			case 0:
				f.Seq += 7
			case 1:
				f.ID = nextID(f.ID)
			case 2:
				f.Phase = rapid.Byte().Draw(t, "phase")
			case 3:
				f.Priority = rapid.Int16().Draw(t, "priority")
			}
		}
		got, err := decodeWindow(appendWindow(nil, &w))
		if err != nil || !reflect.DeepEqual(got, w) {
			t.Fatalf("%+v became %+v, %v", w, got, err)
		}
	})
}

func TestAWindowOfAThousandTakesFewBytes(t *testing.T) {
	w := Window{LastID: 999, NextSeq: 1 << 40, Heads: []Head{{Seq: 1 << 40}}}
	for i := range 1000 {
		id := protocol.PacketID(65000)
		for range i {
			id = nextID(id)
		}
		w.Flights = append(w.Flights, Flight{ID: id, Seq: 1<<40 - 1000 + uint64(i), Phase: 1})
	}
	if b := appendWindow(nil, &w); len(b) > 32 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestItemsSortByPriorityAndSequence(t *testing.T) {
	var last []byte
	for _, p := range []int16{-32768, -1, 0, 1, 32767} {
		for _, seq := range []uint64{0, 255, 256, 1<<64 - 1} {
			key := appendItemKey(nil, 7, p, seq)
			if bytes.Compare(last, key) >= 0 {
				t.Errorf("%x does not sort before %x", last, key)
			}
			if gotP, gotSeq, ok := splitItemKey(key); !ok || gotP != p || gotSeq != seq {
				t.Errorf("key of %d, %d reads as %d, %d", p, seq, gotP, gotSeq)
			}
			last = key
		}
	}
}

// TestLeapFindsWhatComesAfterAHole: wherever the next readable key is, a leap
// reaches a key that is not larger than the first one twice as far.
func TestLeapGoesUpwardsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SliceOfN(rapid.Byte(), 1, 12).Draw(t, "from")
		last := from
		leap(from, func(key []byte) bool {
			if bytes.Compare(key, last) <= 0 {
				t.Fatalf("%x after %x", key, last)
			}
			last = bytes.Clone(key)
			return false
		})
	})
}

// FuzzDecoders: whatever stands in a record, decoding neither panics nor
// allocates more than a record of its length can ask for; and what decodes,
// decodes again after it was encoded.
func FuzzDecoders(f *testing.F) {
	m := message(1)
	f.Add(appendMessage([]byte{recordVersion}, m))
	f.Add(appendRetained(nil, &Retained{Message: m, Version: lww.Version{Stamp: 1, Origin: 2}}))
	f.Add(appendItem(nil, &Item{Message: m, QoS: 1, SubID: 3, MoreIDs: []uint32{4}}, 0))
	f.Add(appendItem(nil, &Item{Message: m, QoS: 2}, 9))
	f.Add(appendSession(nil, &Session{ClientID: "c", Will: &Will{Message: m}}))
	f.Add(appendSubscription(nil, &Subscription{QoS: 1, ID: 268435455}))
	f.Add(appendWindow(nil, &Window{NextSeq: 9, Heads: []Head{{1, 2}}, Flights: []Flight{{ID: 65535, Seq: 1}, {ID: 1, Seq: 2}}}))
	f.Add(appendAwaiting(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMessage(b, &memory{}); err == nil {
			if again, err := decodeMessage(appendMessage([]byte{recordVersion}, m), &memory{}); err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("message %+v became %+v, %v", m, again, err)
			}
		}
		if r, err := decodeItem(b, &memory{}); err == nil && !r.Shared {
			if again, err := decodeItem(appendItem(nil, &r.Item, 0), &memory{}); err != nil || again.size != r.size {
				t.Errorf("item %+v became %+v, %v", r, again, err)
			}
		}
		if _, err := decodeItem(b, nil); err == nil {
			if _, err := decodeItem(b, &memory{}); err != nil {
				t.Errorf("an item that was passed over cannot be read: %v", err)
			}
		}
		if s, err := decodeSession(b); err == nil {
			if again, err := decodeSession(appendSession(nil, s)); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("session %+v became %+v, %v", s, again, err)
			}
		}
		if w, err := decodeWindow(b); err == nil {
			if again, err := decodeWindow(appendWindow(nil, &w)); err != nil || !reflect.DeepEqual(again, w) {
				t.Errorf("window %+v became %+v, %v", w, again, err)
			}
		}
		if r, err := decodeRetained(b, &memory{}); err == nil {
			if r.Message != nil {
				r.Message.Topic = "" // it is not written
			}
			if again, err := decodeRetained(appendRetained(nil, &r), &memory{}); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("retained %+v became %+v, %v", r, again, err)
			}
		}
		_, _ = decodeSubscription(nil, b) // that it does not panic
		_, _ = decodeAwaiting(b)
		_ = checkHeader(b, "n")
	})
}
