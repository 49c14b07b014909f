package store

import (
	"fmt"
	"time"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Retained calls each with every retained message, in the order of their
// topics, on this goroutine. The messages belong to who receives them. What
// cannot be read is passed over, as by Recover.
func (d *Disk) Retained(each func(*protocol.Message)) (Report, error) {
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

func (d *Disk) retained(each func(*protocol.Message)) (report Report, err error) {
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
		m, err := decodeMessage(c.value(), &mem)
		if err != nil {
			report.Quarantined++
			d.quarantine(&ops, c.last, c.value(), err)
			continue
		}
		m.Topic = topic.Name(c.last[1:])
		mem.topic = "" // the records have none
		report.Retained++
		each(m)
		if report.Retained%1024 == 0 && time.Since(told) > 200*time.Millisecond {
			told = time.Now()
			d.tell(Progress{What: "retained", Done: report.Retained})
		}
	}
	report.Holes = c.holes
	d.Commit(&ops, nil)
	return report, nil
}
