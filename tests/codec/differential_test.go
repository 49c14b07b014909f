package codec

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

func TestMochiReadsWhatWeWriteAndWeReadWhatMochiWrites(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := gen{t: t, v: v}.packet()
				if d, ok := p.(*mqtt.Disconnect); ok && mochiOverlooks(d) {
					return
				}
				b := p.Append(nil, v)
				pk, err := mochiDecode(b, v)
				if err != nil {
					t.Fatalf("mochi refuses % x: %v", b, err)
				}
				same(t, "mochi reads", b, fromMochi(pk), p)
				theirs, err := mochiEncode(pk)
				if err != nil {
					t.Fatalf("mochi cannot encode %+v: %v", p, err)
				}
				back, err := ours(theirs, v)
				if err != nil {
					t.Fatalf("we refuse mochi's % x: %v", theirs, err)
				}
				same(t, "we read mochi's", theirs, back, p)
			})
		})
	}
}

// mochiOverlooks tells whether a DISCONNECT is of one byte, which mochi takes for
// one without a Reason Code. MQTT 5, 3.14.2.1: the Reason Code may be omitted
// only with the Remaining Length 0.
func mochiOverlooks(d *mqtt.Disconnect) bool {
	return d.Code != protocol.NormalDisconnection && d.Size(mqtt.V5) == 3
}

func TestPahoReadsWhatWeWriteAndWeReadWhatPahoWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := gen{t: t, v: mqtt.V5}.packet()
		if pahoCannotRead(p) {
			return
		}
		b := p.Append(nil, mqtt.V5)
		cp, err := pahoDecode(b)
		if err != nil {
			t.Fatalf("paho refuses % x: %v", b, err)
		}
		same(t, "paho reads", b, fromPaho(cp), p)
		theirs, err := pahoEncode(cp)
		if err != nil {
			t.Fatalf("paho cannot encode %+v: %v", p, err)
		}
		back, err := ours(theirs, mqtt.V5)
		if err != nil {
			t.Fatalf("we refuse paho's % x: %v", theirs, err)
		}
		same(t, "we read paho's", theirs, back, pahoLoses(p))
	})
}

// pahoCannotRead lists what paho.golang v0.23.0 reads in another way than the
// specification says.
func pahoCannotRead(p packet) bool {
	switch p := p.(type) {
	case *mqtt.Disconnect: // 3.14.2.1: the Remaining Length may be 0
		return p.Size(mqtt.V5) == 2
	case *mqtt.Publish: // 3.3.4: several identifiers may be there
		return len(p.SubscriptionIDs) > 1
	default:
		return false
	}
}

// pahoLoses is what is left of p after paho has written it: in the properties of
// a will it writes only the delay and the User Properties.
func pahoLoses(p packet) packet {
	c, ok := p.(*mqtt.Connect)
	if !ok || !c.HasWill {
		return p
	}
	var m mqtt.MessageProperties
	if err := m.Decode(c.Will.Properties); err != nil {
		panic(err)
	}
	left := mqtt.MessageProperties{User: m.User}
	c.Will.Properties, c.Will.PayloadFormat = left.Append(nil), 0
	c.Will.MessageExpiry, c.Will.HasMessageExpiry = 0, false
	return c
}

func same(t *rapid.T, what string, wire []byte, got, want packet) {
	t.Helper()
	if !reflect.DeepEqual(canonical(got), canonical(want)) {
		t.Fatalf("%s % x\nas   %+v\nnot  %+v", what, wire, got, want)
	}
}
