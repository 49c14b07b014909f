package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"emqttd/protocol"
)

// A group that is large for the memory table stays where it is until pebble has
// written it out: its memory must not be filled with the next one meanwhile.
func TestWhatPebbleStillReadsIsNotWrittenOver(t *testing.T) {
	o := options(vfs.NewMem())
	o.memTable = 256 << 10
	d := start(t, o)
	defer d.stop(t)
	sid := d.NewSessionID()
	const rounds, each = 60, 1500
	for r := range rounds {
		err := d.commit(t, func(o *Ops) {
			for i := range each {
				o.PutItem(sid, &Item{
					Seq: uint64(r*each + i + 1), Message: &protocol.Message{Topic: "t", Payload: []byte{byte(r)}}, QoS: 1,
				})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.db.Flush(); err != nil {
		t.Fatal(err)
	}
	items, err := d.Load(sid, 0, 0, rounds*each)
	if err != nil || len(items) != rounds*each {
		t.Fatalf("%d of %d items are there: %v", len(items), rounds*each, err)
	}
	for i, it := range items {
		if it.Seq != uint64(i+1) || it.Message.Payload[0] != byte(i/each) {
			t.Fatalf("item %d is %d of round %d", i, it.Seq, it.Message.Payload[0])
		}
	}
	if s := d.Stats(); s.Errors > 0 {
		t.Errorf("%d errors in the background", s.Errors)
	}
}
