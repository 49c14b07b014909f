package otel

import (
	oteltrace "go.opentelemetry.io/otel/trace"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// header is the User Property with the context, see W3C Trace Context: MQTT.
const header = "traceparent"

// parent is the context that the publisher gave a message. A message with several
// has none: nobody knows which one is meant.
func parent(m *protocol.Message) (oteltrace.SpanContext, bool) {
	if len(m.Properties) == 0 {
		return oteltrace.SpanContext{}, false
	}
	value, n := mqtt.FindUser(m.Properties, header)
	if n != 1 {
		return oteltrace.SpanContext{}, false
	}
	return parseParent(value)
}

// parseParent reads version 00 of a traceparent, in which all of it is fixed:
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//
// It is stricter than what the standard allows with later versions, which nobody
// uses: what is read here is sent on to others.
func parseParent(s string) (oteltrace.SpanContext, bool) {
	var c oteltrace.SpanContextConfig
	var flags [1]byte
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' ||
		!unhex(c.TraceID[:], s[3:35]) || !unhex(c.SpanID[:], s[36:52]) || !unhex(flags[:], s[53:]) {
		return oteltrace.SpanContext{}, false
	}
	c.TraceFlags, c.Remote = oteltrace.TraceFlags(flags[0]), true
	sc := oteltrace.NewSpanContext(c)
	return sc, sc.IsValid() // neither identifier is zero
}

// unhex reads lower-case hexadecimal digits, twice as many as dst has bytes.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		hi, lo := digit(s[2*i]), digit(s[2*i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

// digit is the value of a digit, more than 15 if it is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	default:
		return 16
	}
}
