package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Stats are figures of a running store. The counters start with it.
type Stats struct {
	DiskBytes      uint64 // size of all files
	MemTableBytes  uint64
	Files          int64 // tables
	Shared         int   // messages that stand in a record of their own
	Groups         uint64
	Changes        uint64
	WrittenBytes   uint64 // by commits; what pebble makes of it is DiskWritten
	DiskWritten    uint64
	Syncs          uint64
	SyncTime       time.Duration // all syncs together
	Waiting        int           // groups that wait to be written
	Errors         uint64        // in the background: a table could not be written or read
	Quarantined    uint64
	State          State
	WritingDelayed bool // pebble is behind with merging
}

// Stats returns the figures. Of a failed store only those which need no
// database.
func (d *Disk) Stats() Stats {
	f := &d.figures
	s := Stats{
		Shared: d.refs.len(), Groups: f.groups.Load(), Changes: f.changes.Load(), WrittenBytes: f.bytes.Load(),
		Syncs: f.syncs.Load(), SyncTime: time.Duration(f.syncTime.Load()),
		Errors: f.errors.Load(), Quarantined: f.quarantined.Load(), State: d.State(),
	}
	d.line.mu.Lock()
	s.Waiting = len(d.line.groups)
	d.line.mu.Unlock()
	// an error says that there is no database to ask
	_ = d.reading(func() error {
		m := d.db.Metrics()
		s.DiskBytes, s.MemTableBytes = m.DiskSpaceUsage(), m.MemTable.Size
		total := m.Total()
		s.Files = total.TablesCount
		s.DiskWritten = m.WAL.BytesWritten + total.TableBytesFlushed + total.TableBytesCompacted
		s.WritingDelayed = f.delayed.Load()
		return nil
	})
	return s
}

// CheckReport is what a check has found.
type CheckReport struct {
	Records     map[string]int // by kind
	Bytes       uint64         // keys and values
	Undecodable int
	Unresolved  int // items whose shared message is gone
	Orphans     int // records of sessions that have no record
	Quarantined int
	Holes       int // parts that cannot be read
	Took        time.Duration
}

// Sound tells whether nothing is wrong.
func (c *CheckReport) Sound() bool { return c.Undecodable == 0 && c.Holes == 0 }

// kindNames are the kinds as reports name them.
var kindNames = map[byte]string{
	kindHeader: "headers", kindSession: "sessions", kindSubscription: "subscriptions", kindWindow: "windows",
	kindAwaiting: "awaiting_rel", kindItem: "queued", kindMessage: "shared_messages", kindRetained: "retained",
	kindTable: "table_entries", kindQuarantine: "quarantined",
}

// Check reads and decodes every record of the live store as it is now. It
// changes nothing.
func (d *Disk) Check() (CheckReport, error) {
	report := CheckReport{Records: make(map[string]int)}
	started := time.Now()
	err := d.reading(func() error {
		sessions := make(map[SessionID]struct{})
		for _, kind := range []byte{
			kindSession, kindHeader, kindSubscription, kindWindow, kindAwaiting,
			kindItem, kindMessage, kindRetained, kindTable, kindQuarantine,
		} {
			if err := d.checkKind(kind, sessions, &report); err != nil {
				return fmt.Errorf("check: %w", err)
			}
		}
		return nil
	})
	report.Quarantined = report.Records[kindNames[kindQuarantine]]
	report.Took = time.Since(started)
	return report, err
}

func (d *Disk) checkKind(kind byte, sessions map[SessionID]struct{}, report *CheckReport) error {
	c, err := d.walk(kind)
	if err != nil {
		return err
	}
	defer c.close()
	for ; c.valid; c.next() {
		value := c.value()
		report.Records[kindNames[kind]]++
		report.Bytes += uint64(len(c.last) + len(value))
		if err := decode(kind, c.last, value); err != nil {
			report.Undecodable++
			d.complain(c.last, err)
			continue
		}
		sid, _ := c.session()
		switch kind {
		case kindSession:
			sessions[sid] = struct{}{}
		case kindSubscription, kindWindow, kindAwaiting, kindItem:
			if _, ok := sessions[sid]; !ok {
				report.Orphans++
			}
		}
		if kind == kindItem && d.unresolved(value) {
			report.Unresolved++
		}
	}
	report.Holes += c.holes
	return nil
}

// unresolved tells whether an item refers to a message that is gone.
func (d *Disk) unresolved(value []byte) bool {
	r, err := decodeItem(value, nil)
	if err != nil || !r.Shared {
		return false
	}
	_, closer, err := d.db.Get(appendMessageKey(nil, r.mid))
	if err != nil {
		return errors.Is(err, pebble.ErrNotFound)
	}
	_ = closer.Close() // it only gives memory back
	return false
}

// decode tells whether a record can be decoded.
func decode(kind byte, key, value []byte) (err error) {
	switch kind {
	case kindSession:
		_, err = decodeSession(value)
	case kindSubscription:
		_, err = decodeSubscription(nil, value)
	case kindWindow:
		_, err = decodeWindow(value)
	case kindAwaiting:
		_, err = decodeAwaiting(value)
	case kindItem:
		if _, err = decodeItem(value, nil); err == nil && len(key) != itemKeyLen {
			err = errRecord
		}
	case kindMessage:
		_, err = decodeMessage(value, &memory{})
	case kindRetained:
		_, err = decodeRetained(value, &memory{})
	case kindHeader, kindTable:
		if d := record(value); d.bad {
			err = errRecord
		}
	}
	return err
}
