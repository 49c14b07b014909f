package protocol_test

import (
	"testing"

	"emqttd/protocol"
)

func TestReasonCodesAreNamedAsInTheSpecification(t *testing.T) {
	cases := map[protocol.ReasonCode]string{
		0x00: "Success", 0x18: "Continue authentication", 0x81: "Malformed Packet",
		0x9E: "Shared Subscriptions not supported", 0xA2: "Wildcard Subscriptions not supported",
		0x03: "0x3", 0xFF: "0xff",
	}
	for c, want := range cases {
		if c.String() != want {
			t.Errorf("%#x: got %q, want %q", byte(c), c, want)
		}
	}
	named := 0
	for c := range 256 {
		if s := protocol.ReasonCode(c).String(); s[0] != '0' {
			named++
		}
	}
	if named != 43 {
		t.Errorf("%d codes have names; table 2-6 has 43", named)
	}
	if protocol.ReAuthenticate.IsError() || !protocol.UnspecifiedError.IsError() {
		t.Error("errors begin at 0x80")
	}
}

func TestReturnCodesOf3xMapToReasonCodesAndBack(t *testing.T) {
	for c := protocol.ConnectionAccepted; c <= protocol.RefusedNotAuthorized; c++ {
		rc, ok := c.ReasonCode()
		if back, also := rc.ReturnCode(); !ok || !also || back != c {
			t.Errorf("%v became %v and then %v", c, rc, back)
		}
	}
	if _, ok := protocol.ReturnCode(6).ReasonCode(); ok {
		t.Error("return code 6 is reserved")
	}
	if got := protocol.ReturnCode(6).String(); got != "6" {
		t.Errorf("got %q", got)
	}
	if got := protocol.RefusedIdentifier.String(); got != "Connection Refused, identifier rejected" {
		t.Errorf("got %q", got)
	}
}

func TestReasonCodesWithoutAReturnCodeCloseSilently(t *testing.T) {
	for _, c := range []protocol.ReasonCode{protocol.MalformedPacket, protocol.ProtocolError, protocol.PacketTooLarge} {
		if rc, ok := c.ReturnCode(); ok {
			t.Errorf("%v is told to 3.x as %v", c, rc)
		}
	}
	if rc, ok := protocol.Banned.ReturnCode(); !ok || rc != protocol.RefusedNotAuthorized {
		t.Errorf("Banned: got %v, %v", rc, ok)
	}
	if rc, ok := protocol.ServerBusy.ReturnCode(); !ok || rc != protocol.RefusedServerUnavailable {
		t.Errorf("ServerBusy: got %v, %v", rc, ok)
	}
}
