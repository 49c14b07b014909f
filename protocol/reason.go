package protocol

import "strconv"

// ReasonCode is an MQTT 5 Reason Code (MQTT 5, 2.4): below 0x80 success, from
// 0x80 on failure. The broker speaks in these codes everywhere; what a 3.x
// client is told is derived at the edge by ReturnCode.
type ReasonCode byte

// All Reason Codes of MQTT 5, section 2.4, by their names there. Three names
// share 0x00: which one is meant depends on the packet.
const (
	Success             ReasonCode = 0x00
	NormalDisconnection ReasonCode = 0x00
	GrantedQoS0         ReasonCode = 0x00

	GrantedQoS1               ReasonCode = 0x01
	GrantedQoS2               ReasonCode = 0x02
	DisconnectWithWillMessage ReasonCode = 0x04
	NoMatchingSubscribers     ReasonCode = 0x10
	NoSubscriptionExisted     ReasonCode = 0x11
	ContinueAuthentication    ReasonCode = 0x18
	ReAuthenticate            ReasonCode = 0x19

	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// reasonText holds the names of the specification's table of Reason Codes.
var reasonText = [0xA3]string{
	Success:                   "Success",
	GrantedQoS1:               "Granted QoS 1",
	GrantedQoS2:               "Granted QoS 2",
	DisconnectWithWillMessage: "Disconnect with Will Message",
	NoMatchingSubscribers:     "No matching subscribers",
	NoSubscriptionExisted:     "No subscription existed",
	ContinueAuthentication:    "Continue authentication",
	ReAuthenticate:            "Re-authenticate",

	UnspecifiedError:                    "Unspecified error",
	MalformedPacket:                     "Malformed Packet",
	ProtocolError:                       "Protocol Error",
	ImplementationSpecificError:         "Implementation specific error",
	UnsupportedProtocolVersion:          "Unsupported Protocol Version",
	ClientIdentifierNotValid:            "Client Identifier not valid",
	BadUserNameOrPassword:               "Bad User Name or Password",
	NotAuthorized:                       "Not authorized",
	ServerUnavailable:                   "Server unavailable",
	ServerBusy:                          "Server busy",
	Banned:                              "Banned",
	ServerShuttingDown:                  "Server shutting down",
	BadAuthenticationMethod:             "Bad authentication method",
	KeepAliveTimeout:                    "Keep Alive timeout",
	SessionTakenOver:                    "Session taken over",
	TopicFilterInvalid:                  "Topic Filter invalid",
	TopicNameInvalid:                    "Topic Name invalid",
	PacketIdentifierInUse:               "Packet Identifier in use",
	PacketIdentifierNotFound:            "Packet Identifier not found",
	ReceiveMaximumExceeded:              "Receive Maximum exceeded",
	TopicAliasInvalid:                   "Topic Alias invalid",
	PacketTooLarge:                      "Packet too large",
	MessageRateTooHigh:                  "Message rate too high",
	QuotaExceeded:                       "Quota exceeded",
	AdministrativeAction:                "Administrative action",
	PayloadFormatInvalid:                "Payload format invalid",
	RetainNotSupported:                  "Retain not supported",
	QoSNotSupported:                     "QoS not supported",
	UseAnotherServer:                    "Use another server",
	ServerMoved:                         "Server moved",
	SharedSubscriptionsNotSupported:     "Shared Subscriptions not supported",
	ConnectionRateExceeded:              "Connection rate exceeded",
	MaximumConnectTime:                  "Maximum connect time",
	SubscriptionIdentifiersNotSupported: "Subscription Identifiers not supported",
	WildcardSubscriptionsNotSupported:   "Wildcard Subscriptions not supported",
}

// IsError tells whether the code means failure (MQTT 5, 2.4).
func (c ReasonCode) IsError() bool { return c >= 0x80 }

// String is the name in the specification, or the number in hexadecimal for a
// code which MQTT 5 does not define.
func (c ReasonCode) String() string {
	if int(c) < len(reasonText) && reasonText[c] != "" {
		return reasonText[c]
	}
	return "0x" + strconv.FormatUint(uint64(c), 16)
}

// ReturnCode is the CONNACK return code of MQTT 3.1 and 3.1.1 (3.2.2.3). Values
// above 5 are reserved.
type ReturnCode byte

// All return codes of MQTT 3.1 and 3.1.1.
const (
	ConnectionAccepted           ReturnCode = 0
	RefusedProtocolVersion       ReturnCode = 1
	RefusedIdentifier            ReturnCode = 2
	RefusedServerUnavailable     ReturnCode = 3
	RefusedBadUserNameOrPassword ReturnCode = 4
	RefusedNotAuthorized         ReturnCode = 5
)

var returnText = [...]string{
	ConnectionAccepted:           "Connection Accepted",
	RefusedProtocolVersion:       "Connection Refused, unacceptable protocol version",
	RefusedIdentifier:            "Connection Refused, identifier rejected",
	RefusedServerUnavailable:     "Connection Refused, Server unavailable",
	RefusedBadUserNameOrPassword: "Connection Refused, bad user name or password",
	RefusedNotAuthorized:         "Connection Refused, not authorized",
}

// String is the name in the specification, or the number for a reserved one.
func (c ReturnCode) String() string {
	if int(c) < len(returnText) {
		return returnText[c]
	}
	return strconv.Itoa(int(c))
}

// ReturnCode is what a 3.x client is told in CONNACK instead of c. False means
// that 3.x has no code for it: the Network Connection is closed without a
// CONNACK. [MQTT-3.2.2-6]
func (c ReasonCode) ReturnCode() (ReturnCode, bool) {
	switch c {
	case Success:
		return ConnectionAccepted, true
	case UnsupportedProtocolVersion:
		return RefusedProtocolVersion, true
	case ClientIdentifierNotValid:
		return RefusedIdentifier, true
	case ServerUnavailable, ServerBusy, ServerShuttingDown, QuotaExceeded,
		UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return RefusedServerUnavailable, true
	case BadUserNameOrPassword, BadAuthenticationMethod:
		return RefusedBadUserNameOrPassword, true
	case NotAuthorized, Banned:
		return RefusedNotAuthorized, true
	default:
		return 0, false
	}
}

// ReasonCode is the MQTT 5 code with the same meaning. False for a reserved
// return code.
func (c ReturnCode) ReasonCode() (ReasonCode, bool) {
	switch c {
	case ConnectionAccepted:
		return Success, true
	case RefusedProtocolVersion:
		return UnsupportedProtocolVersion, true
	case RefusedIdentifier:
		return ClientIdentifierNotValid, true
	case RefusedServerUnavailable:
		return ServerUnavailable, true
	case RefusedBadUserNameOrPassword:
		return BadUserNameOrPassword, true
	case RefusedNotAuthorized:
		return NotAuthorized, true
	default:
		return 0, false
	}
}
