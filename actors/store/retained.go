package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Retained is what is kept of the retained message of a topic.
type Retained struct {
	Topic topic.Name
	// Version is when the message was stored; zero if it was by a broker that did
	// not write that down.
	lww.Version
	// Message is nil for a tombstone: the topic's message was taken away.
	Message *protocol.Message
}

// appendRetained appends the record of a retained message, whose topic is in the
// key. The version stands behind what a record had before there was one.
func appendRetained(b []byte, r *Retained) []byte {
	b = append(b, recordVersion)
	if r.Message == nil {
		b = append(b, flagGone)
	} else {
		nameless := *r.Message
		nameless.Topic = "" // the key has it
		b = appendMessage(b, &nameless)
	}
	if r.Message == nil || r.Version != (lww.Version{}) {
		b = binary.AppendUvarint(b, r.Stamp)
		b = binary.AppendUvarint(b, uint64(r.Origin))
	}
	return b
}

// decodeRetained reads the record of a retained message, but for its topic.
func decodeRetained(b []byte, mem *memory) (r Retained, err error) {
	d := record(b)
	if len(d.b) > 0 && d.b[0] == flagGone {
		d.byte()
	} else {
		r.Message = d.message(mem)
	}
	if r.Message == nil || len(d.b) > 0 {
		r.Stamp, r.Origin = d.uvarint(), uint32(d.upTo(1<<32-1))
	}
	return r, d.end()
}

// Retained calls each with every retained message and every tombstone of one, in
// the order of their topics, on this goroutine. The messages belong to who
// receives them. What cannot be read is passed over, as by Recover.
func (d *Disk) Retained(each func(Retained)) (Report, error) {
	var report Report
	err := d.reading(func() error {
		started := time.Now()
		var err error
		report, err = d.retained(each)
		report.Took = time.Since(started)
		return err
	})
	return report, err
}

func (d *Disk) retained(each func(Retained)) (report Report, err error) {
	c, err := d.walk(kindRetained)
	if err != nil {
		return report, fmt.Errorf("read retained messages: %w", err)
	}
	defer c.close()
	var (
		ops  Ops
		mem  memory
		told time.Time
	)
	for ; c.valid; c.next() {
		r, err := decodeRetained(c.value(), &mem)
		if err != nil {
			report.Quarantined++
			d.quarantine(&ops, c.last, c.value(), err)
			continue
		}
		r.Topic = topic.Name(c.last[1:])
		mem.topic = "" // the records have none
		if r.Message != nil {
			r.Message.Topic = r.Topic
			report.Retained++
		}
		each(r)
		if report.Retained%1024 == 0 && time.Since(told) > 200*time.Millisecond {
			told = time.Now()
			d.tell(Progress{What: "retained", Done: report.Retained})
		}
	}
	report.Holes = c.holes
	d.Commit(&ops, nil)
	return report, nil
}
