package mqtt

import "emqttd/protocol"

// Error is a violation of MQTT by the peer. All of them are package variables:
// decoding garbage allocates nothing, and they may be compared by identity.
type Error struct {
	// Code is what an MQTT 5 peer is told in CONNACK or DISCONNECT, and what
	// Code.ReturnCode maps to a CONNACK return code for 3.x.
	Code protocol.ReasonCode
	// Reason is the label of the metric that counts it: snake_case, one for
	// each Error.
	Reason string
	// Clause names the normative statements that were violated: those of 3.1.1,
	// then those of 5.0 where the number differs.
	Clause string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Clause == "" {
		return "mqtt: " + e.Reason
	}
	return "mqtt: " + e.Reason + " [" + e.Clause + "]"
}

// all is filled by newError while the package is initialised, never later.
var all []*Error

func newError(code protocol.ReasonCode, reason, clause string) *Error {
	e := &Error{Code: code, Reason: reason, Clause: clause}
	all = append(all, e)
	return e
}

// Errors lists every Error that this package returns, so that a counter can be
// set up for each. The caller must not write to them.
func Errors() []*Error { return append([]*Error(nil), all...) }

// The fixed header.
var (
	ErrReservedType             = newError(protocol.MalformedPacket, "reserved_packet_type", "MQTT 2.2.1 (5.0: 2.1.2)")
	ErrReservedFlags            = newError(protocol.MalformedPacket, "reserved_flags", "MQTT-2.2.2-2 (5.0: 2.1.3-1)")
	ErrMalformedRemainingLength = newError(protocol.MalformedPacket, "malformed_remaining_length", "MQTT 2.2.3 (5.0: MQTT-1.5.5-1)")
	ErrFrameTooLarge            = newError(protocol.PacketTooLarge, "frame_too_large", "5.0: MQTT-3.1.2-24")
)

// What any packet may get wrong.
var (
	ErrTruncated       = newError(protocol.MalformedPacket, "truncated_packet", "")
	ErrTrailingBytes   = newError(protocol.MalformedPacket, "trailing_bytes", "")
	ErrInvalidUTF8     = newError(protocol.MalformedPacket, "invalid_utf8", "MQTT-1.5.3-1 (5.0: 1.5.4-1)")
	ErrNullCharacter   = newError(protocol.MalformedPacket, "null_character", "MQTT-1.5.3-2 (5.0: 1.5.4-2)")
	ErrMalformedVarint = newError(protocol.MalformedPacket, "malformed_variable_byte_integer", "5.0: MQTT-1.5.5-1")
	ErrPacketIDZero    = newError(protocol.ProtocolError, "packet_id_zero", "MQTT-2.3.1-1 (5.0: 2.2.1-3, 2.2.1-4)")
	ErrReasonCode      = newError(protocol.ProtocolError, "invalid_reason_code", "5.0: MQTT-3.2.2-8, 3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1, 3.9.3-2, 3.11.3-2, 3.14.2-1, 3.15.2-1")
)

// MQTT 5 properties.
var (
	ErrPropertyUnknown    = newError(protocol.MalformedPacket, "unknown_property", "5.0: 2.2.2.2")
	ErrPropertyNotAllowed = newError(protocol.MalformedPacket, "property_not_allowed", "5.0: 2.2.2.2")
	ErrPropertyLength     = newError(protocol.MalformedPacket, "malformed_property_length", "5.0: 2.2.2.1")
	ErrPropertyTwice      = newError(protocol.ProtocolError, "duplicate_property", "5.0: 2.2.2.2")
	ErrPropertyValue      = newError(protocol.ProtocolError, "invalid_property_value", "5.0: 2.2.2.2")
	ErrAuthMethodMissing  = newError(protocol.ProtocolError, "authentication_method_missing", "5.0: 3.1.2.11.10, 3.15.2.2.2")
)

// CONNECT and CONNACK.
var (
	ErrProtocolName        = newError(protocol.UnsupportedProtocolVersion, "bad_protocol_name", "MQTT-3.1.2-1")
	ErrProtocolLevel       = newError(protocol.UnsupportedProtocolVersion, "unsupported_protocol_level", "MQTT-3.1.2-2")
	ErrConnectReservedFlag = newError(protocol.MalformedPacket, "connect_reserved_flag", "MQTT-3.1.2-3")
	ErrWillFlags           = newError(protocol.MalformedPacket, "will_flags_without_will", "MQTT-3.1.2-11, 3.1.2-13, 3.1.2-15 (5.0: 3.1.2-11, 3.1.2-13)")
	ErrWillQoS             = newError(protocol.MalformedPacket, "invalid_will_qos", "MQTT-3.1.2-14 (5.0: 3.1.2-12)")
	ErrPasswordOnly        = newError(protocol.MalformedPacket, "password_without_user_name", "MQTT-3.1.2-22")
	ErrConnackFlags        = newError(protocol.MalformedPacket, "invalid_connack_flags", "MQTT-3.2.2-4 (5.0: 3.2.2-1, 3.2.2-6)")
	ErrReturnCode          = newError(protocol.MalformedPacket, "reserved_return_code", "MQTT 3.2.2.3")
)

// PUBLISH.
var (
	ErrInvalidQoS         = newError(protocol.MalformedPacket, "invalid_qos", "MQTT-3.3.1-4")
	ErrDupQoS0            = newError(protocol.ProtocolError, "dup_with_qos0", "MQTT-3.3.1-2")
	ErrTopicEmpty         = newError(protocol.ProtocolError, "topic_name_empty", "MQTT-4.7.3-1")
	ErrTopicWildcard      = newError(protocol.TopicNameInvalid, "topic_name_wildcard", "MQTT-3.3.2-2")
	ErrResponseTopic      = newError(protocol.ProtocolError, "response_topic_wildcard", "5.0: MQTT-3.3.2-14")
	ErrTopicAliasZero     = newError(protocol.TopicAliasInvalid, "topic_alias_zero", "5.0: MQTT-3.3.2-8")
	ErrSubscriptionIDSent = newError(protocol.ProtocolError, "subscription_id_from_client", "5.0: MQTT-3.3.4-6")
)

// SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.
var (
	ErrNoFilters            = newError(protocol.ProtocolError, "no_topic_filters", "MQTT-3.8.3-3, 3.10.3-2 (5.0: 3.8.3-2, 3.10.3-2)")
	ErrFilterEmpty          = newError(protocol.TopicFilterInvalid, "topic_filter_empty", "MQTT-4.7.3-1")
	ErrSubscriptionOptions  = newError(protocol.MalformedPacket, "reserved_subscription_options", "MQTT-3-8.3-4 (5.0: 3.8.3-5)")
	ErrSubscriptionQoS      = newError(protocol.ProtocolError, "invalid_subscription_qos", "MQTT-3-8.3-4 (5.0: 3.8.3.1)")
	ErrRetainHandling       = newError(protocol.ProtocolError, "invalid_retain_handling", "5.0: 3.8.3.1")
	ErrNoLocalShared        = newError(protocol.ProtocolError, "no_local_on_shared_subscription", "5.0: MQTT-3.8.3-4")
	ErrNoReasonCodes        = newError(protocol.MalformedPacket, "no_reason_codes", "MQTT-3.8.4-5 (5.0: 3.8.4-6, 3.11.3-1)")
	ErrSubackReservedReturn = newError(protocol.MalformedPacket, "reserved_suback_code", "MQTT-3.9.3-2")
)
