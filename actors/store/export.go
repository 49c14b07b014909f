package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"emqttd/protocol"
)

// exported is one line of an export. Which fields it has depends on Kind.
type exported struct {
	Kind     string    `json:"kind"`
	Session  SessionID `json:"session,omitempty"`
	ClientID string    `json:"client_id,omitempty"`

	Created   int64  `json:"created,omitempty"`
	Clean     bool   `json:"clean,omitempty"`
	Connected bool   `json:"connected,omitempty"`
	Expiry    int64  `json:"expiry,omitempty"`
	Expires   int64  `json:"expires,omitempty"`
	WillDelay int64  `json:"will_delay,omitempty"`
	WillDue   int64  `json:"will_due,omitempty"`
	Filter    string `json:"filter,omitempty"`

	QoS      *protocol.QoS     `json:"qos,omitempty"`
	NoLocal  bool              `json:"no_local,omitempty"`
	Rap      bool              `json:"retain_as_published,omitempty"`
	SubIDs   []uint32          `json:"subscription_ids,omitempty"`
	Priority int16             `json:"priority,omitempty"`
	Seq      uint64            `json:"seq,omitempty"`
	Retain   bool              `json:"retain,omitempty"`
	InFlight int               `json:"in_flight,omitempty"`
	PacketID protocol.PacketID `json:"packet_id,omitempty"`
	At       int64             `json:"at,omitempty"`

	Table string `json:"table,omitempty"`
	Key   []byte `json:"key,omitempty"`   // base64
	Value []byte `json:"value,omitempty"` // base64

	Message *exportedMessage `json:"message,omitempty"`
}

type exportedMessage struct {
	Topic      string       `json:"topic"`
	Payload    []byte       `json:"payload"` // base64
	Properties []byte       `json:"properties,omitempty"`
	From       string       `json:"from,omitempty"`
	Arrived    int64        `json:"arrived,omitempty"`
	Expires    int64        `json:"expires,omitempty"`
	QoS        protocol.QoS `json:"qos"`
	Retain     bool         `json:"retain,omitempty"`
}

func exportMessage(m *protocol.Message) *exportedMessage {
	if m == nil {
		return nil
	}
	return &exportedMessage{
		Topic: string(m.Topic), Payload: m.Payload, Properties: m.Properties, From: m.From,
		Arrived: m.Arrived, Expires: m.Expires, QoS: m.QoS, Retain: m.Retain,
	}
}

// Export writes the live store as JSON lines, one record a line, sessions
// first, and returns how many. Queued messages stand with each session that
// waits for them; those that are dead already are left out.
func (d *Disk) Export(w io.Writer) (n int, err error) {
	err = d.reading(func() error {
		n, err = d.export(w)
		return err
	})
	return n, err
}

func (d *Disk) export(w io.Writer) (int, error) {
	buffered := bufio.NewWriter(w)
	e := &exporter{disk: d, out: json.NewEncoder(buffered), windows: make(map[SessionID]*Window)}
	e.out.SetEscapeHTML(false)
	for _, kind := range []byte{kindSession, kindSubscription, kindWindow, kindAwaiting, kindItem, kindRetained, kindTable} {
		if err := e.kind(kind); err != nil {
			return e.n, fmt.Errorf("export: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return e.n, fmt.Errorf("export: %w", err)
	}
	return e.n, nil
}

type exporter struct {
	disk    *Disk
	out     *json.Encoder
	n       int
	windows map[SessionID]*Window
	mem     memory
}

func (e *exporter) kind(kind byte) error {
	c, err := e.disk.walk(kind)
	if err != nil {
		return err
	}
	defer c.close()
	for ; c.valid; c.next() {
		sid, _ := c.session()
		line := &exported{Kind: kindNames[kind], Session: sid}
		ok, err := e.fill(line, kind, c)
		if err != nil {
			e.disk.complain(c.last, err)
			continue
		}
		if !ok {
			continue
		}
		if err := e.out.Encode(line); err != nil {
			return err
		}
		e.n++
	}
	return nil
}

// fill reads the record under the cursor into a line; false leaves it out.
func (e *exporter) fill(l *exported, kind byte, c *cursor) (bool, error) {
	value := c.value()
	switch kind {
	case kindSession:
		s, err := decodeSession(value)
		if err != nil {
			return false, err
		}
		l.ClientID, l.Created, l.Clean, l.Connected, l.Expiry, l.Expires = s.ClientID, s.Created, s.Clean, s.Connected, s.Expiry, s.Expires
		if s.Will != nil {
			l.WillDelay, l.WillDue, l.Message = s.Will.Delay, s.Will.Due, exportMessage(s.Will.Message)
		}
	case kindSubscription:
		s, err := decodeSubscription(c.last[sessionKeyLen:], value)
		if err != nil {
			return false, err
		}
		l.Filter, l.QoS, l.NoLocal, l.Rap = s.Text, &s.QoS, s.NoLocal, s.RetainAsPublished
		if s.ID != 0 {
			l.SubIDs = []uint32{s.ID}
		}
	case kindWindow:
		w, err := decodeWindow(value)
		if err != nil {
			return false, err
		}
		e.windows[l.Session] = &w
		l.PacketID, l.InFlight = w.LastID, len(w.Flights)
	case kindAwaiting:
		at, err := decodeAwaiting(value)
		if err != nil || len(c.last) != awaitingKeyLen {
			return false, errRecord
		}
		l.PacketID, l.At = protocol.PacketID(c.last[9])<<8|protocol.PacketID(c.last[10]), at
	case kindItem:
		return e.fillItem(l, c)
	case kindRetained:
		r, err := decodeRetained(value, &e.mem)
		if err != nil || r.Message == nil {
			return false, err
		}
		l.Session, l.Message = 0, exportMessage(r.Message)
		l.Message.Topic = string(c.last[1:])
	case kindTable:
		return l.fillTable(c.last, value)
	}
	return true, nil
}

func (e *exporter) fillItem(l *exported, c *cursor) (bool, error) {
	it, err := e.disk.item(c.iter, &e.mem)
	if err != nil || it.Message == nil {
		return false, err
	}
	w := e.windows[l.Session]
	if w == nil {
		w = new(Window)
	}
	l.PacketID = w.flight(it.Priority, it.Seq)
	if l.PacketID == 0 && it.Seq < w.head(it.Priority) {
		return false, nil
	}
	l.Priority, l.Seq, l.QoS, l.Retain, l.Message = it.Priority, it.Seq, &it.QoS, it.Retain, exportMessage(it.Message)
	if it.SubID != 0 {
		l.SubIDs = append([]uint32{it.SubID}, it.MoreIDs...)
	}
	return true, nil
}

func (l *exported) fillTable(key, value []byte) (bool, error) {
	d := record(value)
	if len(key) < 2 || len(key) < 2+int(key[1]) || d.bad {
		return false, errRecord
	}
	n := 2 + int(key[1])
	l.Session, l.Table = 0, string(key[2:n])
	l.Key, l.Value = append([]byte(nil), key[n:]...), append([]byte(nil), d.b...)
	return true, nil
}

// flight is the packet identifier of an item that is in flight, else 0.
func (w *Window) flight(priority int16, seq uint64) protocol.PacketID {
	for _, f := range w.Flights {
		if f.Priority == priority && f.Seq == seq && f.Phase != PhaseSpent {
			return f.ID
		}
	}
	return 0
}
