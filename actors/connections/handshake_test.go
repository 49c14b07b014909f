package connections

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/access"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestEachRefusalHasItsConnackAndClosesTheConnection(t *testing.T) {
	v5 := func(id string) *mqtt.Connect {
		return &mqtt.Connect{Version: mqtt.V5, ClientID: id, CleanStart: true}
	}
	v31 := func(id string) *mqtt.Connect {
		return &mqtt.Connect{Version: mqtt.V31, ClientID: id, CleanStart: true}
	}
	long := string(bytes.Repeat([]byte("x"), 101))
	raw := func(c *mqtt.Connect, change func(b []byte)) []byte {
		b := c.Append(nil, c.Version)
		change(b)
		return b
	}
	level := func(n byte) func([]byte) { return func(b []byte) { b[8] = n } }
	for _, tc := range []struct {
		name   string
		change func(rt *Runtime)
		send   []byte
		want   []byte // nil: closed without an answer
		reason string
	}{
		{name: "3.1.1: unknown protocol level", send: raw(hello("c", true), level(9)), want: []byte{0x20, 2, 0, 1}, reason: "unsupported_protocol_level"},
		{name: "3.1.1: empty client id with a session", send: raw(hello("", false), level(4)), want: []byte{0x20, 2, 0, 2}, reason: "client_id_empty"},
		{name: "3.1: empty client id", send: v31("").Append(nil, mqtt.V31), want: []byte{0x20, 2, 0, 2}, reason: "client_id_empty"},
		{name: "3.1.1: long client id", send: raw(hello(long, true), level(4)), want: []byte{0x20, 2, 0, 2}, reason: "client_id_too_long"},
		{
			name: "3.1.1: not authorized", change: func(rt *Runtime) { rt.Access = access.New(false, true, nil) },
			send: raw(hello("c", true), level(4)), want: []byte{0x20, 2, 0, 5}, reason: "not_authorized",
		},
		{name: "first packet is not CONNECT", send: []byte{0xC0, 0}, reason: "first_packet_not_connect"},
		{name: "packet too large", send: []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, reason: "frame_too_large"},
		{name: "5: long client id", send: v5(long).Append(nil, mqtt.V5), want: []byte{0x20, 3, 0, 0x85, 0}, reason: "client_id_too_long"},
		{
			name: "5: not authorized", change: func(rt *Runtime) { rt.Access = access.New(false, true, nil) },
			send: v5("c").Append(nil, mqtt.V5), want: []byte{0x20, 3, 0, 0x87, 0}, reason: "not_authorized",
		},
		{name: "reserved flag", send: raw(hello("c", true), func(b []byte) { b[9] |= 1 }), reason: "connect_reserved_flag"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRig(t, func(r *rig) {
				if tc.change != nil {
					tc.change(r.rt)
				}
				p := r.dial()
				p.write(tc.send)
				time.Sleep(2 * lingerTime)
				got, over := p.take()
				if !bytes.Equal(got, tc.want) {
					t.Errorf("answered with %x, want %x", got, tc.want)
				}
				if !over {
					t.Error("the connection is still open")
				}
				if ends := r.ends(); len(ends) != 1 {
					t.Errorf("the listener was told %v", ends)
				} else if tc.reason != "" && ends[0] != tc.reason {
					t.Errorf("the reason is %s, want %s", ends[0], tc.reason)
				}
				if n := len(r.rt.Metrics.Refusals()); n != 1 {
					t.Errorf("%d reasons are counted", n)
				}
			})
		})
	}
}

func TestAuthenticationDecisionsHaveTheirCodes(t *testing.T) {
	for d, want := range map[access.Decision]protocol.ReasonCode{
		access.BadCredential: protocol.BadUserNameOrPassword,
		access.NotAuthorized: protocol.NotAuthorized,
		access.Unavailable:   protocol.ServerUnavailable,
	} {
		if r, ok := verdict(d).(*refusal); !ok || r.code != want {
			t.Errorf("decision %d is answered with %v", d, verdict(d))
		}
	}
	if verdict(access.Accept) != nil {
		t.Error("who is accepted is refused")
	}
}

func TestASilentOrSlowHandshakeIsClosedAtItsDeadline(t *testing.T) {
	inRig(t, func(r *rig) {
		silent, slow := r.dial(), r.dial()
		connect := hello("c", true).Append(nil, mqtt.V311)
		for i := range 5 {
			slow.write(connect[i : i+1])
			time.Sleep(5 * time.Second)
		}
		if ends := r.ends(); ends != nil {
			t.Fatalf("closed too early: %v", ends)
		}
		time.Sleep(6 * time.Second)
		silent.expectClosed()
		slow.expectClosed()
		if ends := r.ends(); !slices.Equal(ends, []string{"idle_timeout", "idle_timeout"}) {
			t.Errorf("the reasons are %v", ends)
		}
	})
}

func TestConnectMayComeInPiecesAndBeFollowedAtOnce(t *testing.T) {
	b := hello("c", true).Append(nil, mqtt.V311)
	n := len(b)
	b = mqtt.AppendPingreq(b)
	for at := 1; at < len(b); at++ {
		inRig(t, func(r *rig) {
			p := r.dial()
			p.write(b[:at])
			p.write(b[at:])
			got, _ := p.take()
			if want := mqtt.AppendPingresp(welcome.Append(nil, mqtt.V311)); !bytes.Equal(got, want) {
				t.Errorf("split at %d of %d: got %x", at, n, got)
			}
		})
	}
}

func TestClosingEndsHandshakesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.dial()
		p.write([]byte{0x10})
		r.stop()
		p.expectClosed()
		late := r.dial()
		late.expectClosed()
		time.Sleep(time.Minute)
	})
}
