package link

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"emqttd/cluster"
	"emqttd/cluster/clustertest"
	"emqttd/cluster/wire"
)

// tap is a transport that lets a test see and change what one node says.
type tap struct {
	Transport
	sent func(b []byte) [][]byte
}

func (t *tap) Dial(ctx context.Context, address string) (wire.Stream, error) {
	s, err := t.Transport.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &tapped{s, t}, nil
}

type tapped struct {
	wire.Stream
	tap *tap
}

func (t *tapped) Send(b []byte) error {
	for _, m := range t.tap.sent(b) {
		if err := t.Stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func TestWhatWasOverheardOpensNoLink(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		var overheard [][]byte
		a := newRig(t, network, "a", func(o *Options) {
			o.Transport = &tap{o.Transport, func(b []byte) [][]byte {
				overheard = append(overheard, bytes.Clone(b))
				return [][]byte{b}
			}}
		}).start()
		b := newRig(t, network, "b", nil).start()
		defer b.stop()
		a.Join("b:1")
		settle(time.Second)
		a.expectView("a b")
		a.stop()
		settle(time.Second)
		begun, _ := b.conversations()
		thief, err := network.Host("thief:1").Dial(t.Context(), "b:1")
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		for _, m := range overheard {
			_ = thief.Send(m) // it may break when it is found out
		}
		settle(10 * time.Second)
		b.expectView("b")
		if now, _ := b.conversations(); len(now) != len(begun) {
			t.Error("a conversation has begun")
		}
		if b.Stats().Refused["cookie"] != 1 {
			t.Errorf("counted %v", b.Stats().Refused)
		}
	})
}

func TestMessageThatCannotBeReadCostsItselfOnly(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := newRig(t, network, "a", nil), newRig(t, network, "b", nil)
		const kindPanic, kindUnknown = 0xf003, 0xf004
		wireRegisterOnce(kindPanic)
		b.Handle(kindPanic, func(cluster.Peer, wire.Message) { panic("a mistake") })
		b.HandleData(kindPanic, func(cluster.Peer, []byte) { panic("a mistake") })
		a.start()
		b.start()
		defer a.stop()
		defer b.stop()
		a.Join("b:1")
		settle(time.Second)
		p := a.peer("b")
		p.Send(raw{kindPanic, []byte{1, 0x80}})
		p.Send(raw{kindUnknown, []byte{1, 0x80}})
		p.Send(raw{kindNote, []byte{1, 0xc1}})
		p.Send(raw{kindNote, []byte{99, 0x80}})
		p.Send(raw{kindNote, nil})
		p.SendData(kindPanic, nil, nil)
		p.SendData(kindUnknown, nil, nil)
		p.Send(&note{1})
		p.SendData(kindNote, []byte("1"), nil)
		settle(time.Millisecond)
		if notes, data := b.got(); fmt.Sprint(notes, data) != "[1] [1]" {
			t.Errorf("b got %v %v", notes, data)
		}
		if s := b.Stats(); s.Panics != 2 || s.Unknown != 2 || s.Unreadable != 3 {
			t.Errorf("counted %+v", s)
		}
		b.expectView("a b")
		if n := a.Info()[0].Data; n != 0 {
			t.Errorf("%d messages are not acknowledged", n)
		}
	})
}

// raw is a message as somebody else would write it.
type raw struct {
	kind uint32
	body []byte
}

func (r raw) Serialize() (wire.Serialized, error) {
	return &wire.Frame{Kind: r.kind, Data: r.body}, nil
}

var registered = map[uint32]bool{}

func wireRegisterOnce(kind uint32) {
	if !registered[kind] {
		registered[kind] = true
		wire.Register(kind, func() any { return new(note) })
	}
}

func TestPeerThatBreaksTheProtocolIsDisconnectedAndCounted(t *testing.T) {
	batch := func(records ...record) []byte {
		b := []byte{wire.Version}
		for i := range records {
			b = appendRecord(b, &records[i])
		}
		return b
	}
	linkMessage := func(m wire.Message) record {
		f, _ := m.Serialize()
		kind, body := wire.Open(f)
		return record{lane: laneLink, kind: kind, body: body}
	}
	for name, bad := range map[string][]byte{
		"empty":                   {},
		"unknown version":         {99},
		"garbage":                 {wire.Version, 0xff, 0xff},
		"half a record":           batch(record{lane: laneControl, seq: 9, kind: 1, body: []byte("hello")})[:9],
		"a missing message":       batch(record{lane: laneData, seq: 1 << 40}),
		"number 0":                batch(record{lane: laneControl}),
		"false acknowledgement":   batch(linkMessage(&status{Data: 1 << 40})),
		"a hello in the middle":   batch(linkMessage(&hello{})),
		"more than a body can be": batch(record{lane: laneData, seq: 1, body: make([]byte, wire.MaxBody+1)}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				inject := make(chan []byte, 1)
				a := newRig(t, network, "a", func(o *Options) {
					o.Transport = &tap{o.Transport, func(b []byte) [][]byte {
						select {
						case m := <-inject:
							return [][]byte{m, b}
						default:
							return [][]byte{b}
						}
					}}
				}).start()
				b := newRig(t, network, "b", nil).start()
				defer a.stop()
				defer b.stop()
				a.Join("b:1")
				settle(2 * time.Second)
				inject <- bad
				a.peer("b").Send(&note{1})
				settle(5 * time.Second)
				if b.Stats().Refused["malformed"] != 1 {
					t.Errorf("counted %v", b.Stats().Refused)
				}
				a.expectView("a b")
				b.expectView("a b")
				if notes, _ := b.got(); fmt.Sprint(notes) != "[1]" {
					t.Errorf("b got %v", notes)
				}
			})
		})
	}
}

func TestUnknownLanesRecordsAndFieldsArePassedOver(t *testing.T) {
	newer := appendRecord(nil, &record{lane: 77, seq: 5, kind: 1, body: []byte("x")})
	longer := appendRecord(nil, &record{lane: laneControl, seq: 2, kind: 3, body: []byte("y")})
	longer[0] = 0x96                                        // six elements
	longer = append(longer, 0x81, 0xa1, 'k', 0x93, 1, 2, 3) // a map
	longer = append(longer, 0xc0)                           // and a nil
	b := append(newer, longer...)
	r, b, err := nextRecord(b)
	if err != nil || r.lane != 77 || string(r.body) != "x" {
		t.Fatalf("%+v %v", r, err)
	}
	r, b, err = nextRecord(b)
	if err != nil || r.seq != 2 || r.kind != 3 || string(r.body) != "y" || len(b) != 0 {
		t.Fatalf("%+v %v, %d bytes left", r, err, len(b))
	}
}

func TestStrangersAtTheDoorAreRefusedAndTheNodeLives(t *testing.T) {
	b := openNode(t, "b")
	address := b.Self().Address
	t.Run("port scan", func(t *testing.T) {
		for range 20 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
	})
	t.Run("garbage after the cookie", func(t *testing.T) {
		s, err := (&wire.Dialer{Cookie: testCookie}).Dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Send([]byte("garbage")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the refusal", func() bool { return b.Stats().Refused["malformed"] == 1 })
	})
	t.Run("wrong cookie", func(t *testing.T) {
		a := dialNode(t, "a1", func(o *Options) { o.Transport = &wire.Dialer{Cookie: "guess"} })
		a.Join(address)
		eventually(t, "the refusal", func() bool { return a.Stats().Refused["cookie"] > 0 })
	})
	t.Run("the cookie of the door but not of the link", func(t *testing.T) {
		a := dialNode(t, "a2", func(o *Options) { o.Cookie = "guess" })
		a.Join(address)
		eventually(t, "the refusal", func() bool { return a.Stats().Refused["cookie"] > 0 && b.Stats().Refused["cookie"] > 0 })
	})
	t.Run("another cluster", func(t *testing.T) {
		a := dialNode(t, "a3", func(o *Options) { o.Cluster = "other" })
		a.Join(address)
		eventually(t, "the refusal", func() bool { return a.Stats().Refused["cluster"] > 0 && b.Stats().Refused["cluster"] > 0 })
	})
	a := dialNode(t, "a", nil)
	a.Join(address)
	eventually(t, "the view", func() bool { return show(a.View()) == "a b" && show(b.View()) == "a b" })
}

func FuzzBatch(f *testing.F) {
	f.Add(appendRecord(nil, &record{lane: 1, seq: 300, kind: 70000, body: []byte("hello")}))
	f.Add([]byte{0x95, 1, 2, 3, 0xc4, 1, 'x', 0x91, 0xc0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := nextRecord(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) || len(r.body) > len(b) {
				t.Fatal("it reads more than there is")
			}
			again, none, err := nextRecord(appendRecord(nil, &r))
			if err != nil || len(none) != 0 || again.lane != r.lane || again.seq != r.seq || again.kind != r.kind || !bytes.Equal(again.body, r.body) {
				t.Fatalf("%+v came back as %+v, %v", r, again, err)
			}
			b = rest
		}
	})
}
