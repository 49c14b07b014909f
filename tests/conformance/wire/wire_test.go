package wire

import (
	"bytes"
	"strings"
	"testing"
)

func build(t *testing.T, typ byte, fields ...string) *Packet {
	t.Helper()
	p := New(typ)
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		if err := p.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestPacketsAreBuiltAsTheSpecificationDrawsThem(t *testing.T) {
	for _, c := range []struct {
		name, want string
		version    byte
		typ        byte
		fields     []string
	}{
		{"connect", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", V311, Connect, []string{"client=a", "keep=60"}},
		{"connect5", "\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x11\x00\x00\x00\x0a\x00\x01a", V5, Connect, []string{"level=5", "client=a", "expiry=10"}},
		{"will", "\x10\x17\x00\x04MQTT\x05\x0e\x00\x00\x00\x00\x01a\x02\x01\x01\x00\x01w\x00\x01m", V5, Connect, []string{"level=5", "client=a", "will=w", "willmsg=m", "willqos=1", "will.pfi=1"}},
		{"publish", "\x3b\x06\x00\x01t\x00\x07x", V311, Publish, []string{"topic=t", "id=7", "qos=1", "dup=1", "retain=1", "payload=x"}},
		{"publish5", "\x30\x0c\x00\x01t\x08\x26\x00\x01k\x00\x02vv", V5, Publish, []string{"topic=t", "user=k:vv"}},
		{"puback5", "\x40\x03\x00\x01\x10", V5, Puback, []string{"id=1", "code=10"}},
		{"puback", "\x40\x02\x00\x01", V311, Puback, []string{"id=1", "code=10"}},
		{"subscribe5", "\x82\x09\x00\x01\x02\x0b\x05\x00\x01f\x2d", V5, Subscribe, []string{"id=1", "subid=5", "f=f", "qos=1", "nl=1", "rap=1", "rh=2"}},
		{"unsubscribe", "\xa2\x05\x00\x02\x00\x01f", V311, Unsubscribe, []string{"id=2", "f=f"}},
		{"suback", "\x90\x04\x00\x02\x00\x80", V311, Suback, []string{"id=2", "codes=00,80"}},
		{"disconnect", "\xe0\x00", V5, Disconnect, nil},
		{"pubrel flags", "\x60\x02\x00\x01", V311, Pubrel, []string{"id=1", "flags=0"}},
		{"trail", "\xc0\x02\xff\x00", V311, Pingreq, []string{"trail=ff00"}},
	} {
		if got := build(t, c.typ, c.fields...).Encode(c.version); string(got) != c.want {
			t.Errorf("%s: % x, want % x", c.name, got, c.want)
		}
	}
}

func TestWhatIsBuiltIsReadAgain(t *testing.T) {
	for _, p := range []*Packet{
		build(t, Connect, "level=5", "client=c", "will=w", "willmsg=m", "name=n", "pass=p", "recvmax=3", "will.delay=4"),
		build(t, Connack, "present=1", "code=00", "assigned=x", "aliasmax=5"),
		build(t, Publish, "topic=t", "payload=m", "qos=2", "id=9", "subid=1", "subid=2", "alias=3", "corr=\x00\xff"),
		build(t, Pubrec, "id=1", "code=97", "reason=full"),
		build(t, Subscribe, "id=1", "f=a", "qos=1", "f=b", "rh=2"),
		build(t, Suback, "id=1", "codes=00,01"),
		build(t, Unsuback, "id=1", "codes=11"),
		build(t, Disconnect, "code=8e", "sref=other"),
		build(t, Auth, "code=18", "authm=m", "authd=d"),
	} {
		b := p.Encode(V5)
		first, body, size, err := Split(b)
		if err != nil || size != len(b) {
			t.Fatalf("%v: split %d of %d, %v", p, size, len(b), err)
		}
		got, err := Decode(first, body, V5)
		if err != nil {
			t.Fatalf("%v: %v", p, err)
		}
		if again := got.Encode(V5); !bytes.Equal(again, b) {
			t.Errorf("%v: % x, want % x", p, again, b)
		}
	}
}

func TestWhatNoServerMaySendIsNotRead(t *testing.T) {
	for name, b := range map[string]string{
		"flags of PINGRESP":           "\xd1\x00",
		"QoS 3":                       "\x36\x05\x00\x01t\x00\x01",
		"identifier 0":                "\x32\x06\x00\x01t\x00\x00\x00",
		"bytes too many":              "\xd0\x01\x00",
		"packet that ends early":      "\x30\x02\x00\x05",
		"topic that is not UTF-8":     "\x30\x04\x00\x01\xff\x00",
		"topic with U+0000":           "\x30\x04\x00\x01\x00\x00",
		"property of another packet":  "\x30\x07\x00\x01t\x03\x21\x00\x01",
		"property twice":              "\x30\x08\x00\x01t\x04\x01\x00\x01\x00",
		"unknown property":            "\x30\x06\x00\x01t\x02\x7f\x00",
		"properties beyond the end":   "\x30\x04\x00\x01t\x05",
		"CONNACK without properties":  "\x20\x02\x00\x00",
		"reserved packet type":        "\x00\x00",
		"SUBACK without its property": "\x90\x02\x00\x01",
	} {
		first, body, size, err := Split([]byte(b))
		if err != nil || size == 0 {
			t.Fatalf("%s: %d %v", name, size, err)
		}
		if p, err := Decode(first, body, V5); err == nil {
			t.Errorf("%s is read as %v", name, p)
		}
	}
}

func TestALengthThatIsTooLongIsAnError(t *testing.T) {
	for _, b := range []string{"\xd0\x80\x00", "\xd0\xff\xff\xff\xff\x01"} {
		if _, _, _, err := Split([]byte(b)); err == nil {
			t.Errorf("% x is split", b)
		}
	}
}

func TestFieldsThatDoNotExistAreRefused(t *testing.T) {
	for _, f := range []string{"colour=red", "qos=high", "code=xyz", "msgexp=soon", "will.colour=red", "codes=0", "nl=1"} {
		k, v, _ := strings.Cut(f, "=")
		if err := New(Subscribe).Set(k, v); err == nil {
			t.Errorf("%s is set", f)
		}
	}
}
