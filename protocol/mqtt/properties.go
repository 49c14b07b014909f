package mqtt

// Property identifiers (MQTT 5, 2.2.2.2).
const (
	propPayloadFormat      = 0x01
	propMessageExpiry      = 0x02
	propContentType        = 0x03
	propResponseTopic      = 0x08
	propCorrelationData    = 0x09
	propSubscriptionID     = 0x0B
	propSessionExpiry      = 0x11
	propAssignedClientID   = 0x12
	propServerKeepAlive    = 0x13
	propAuthMethod         = 0x15
	propAuthData           = 0x16
	propRequestProblemInfo = 0x17
	propWillDelay          = 0x18
	propRequestResponse    = 0x19
	propResponseInfo       = 0x1A
	propServerReference    = 0x1C
	propReasonString       = 0x1F
	propReceiveMaximum     = 0x21
	propTopicAliasMaximum  = 0x22
	propTopicAlias         = 0x23
	propMaximumQoS         = 0x24
	propRetainAvailable    = 0x25
	propUserProperty       = 0x26
	propMaximumPacketSize  = 0x27
	propWildcardAvailable  = 0x28
	propSubIDAvailable     = 0x29
	propSharedAvailable    = 0x2A

	propLast = propSharedAvailable // below 64: identifiers fit a bit set
)

// kind is how the value of a property is written and which values it may have.
type kind uint8

const (
	kindNone    kind = iota // no such property
	kindBool                // Byte that must be 0 or 1
	kindU16                 // Two Byte Integer
	kindU16Some             // Two Byte Integer that must not be 0
	kindU32                 // Four Byte Integer
	kindU32Some             // Four Byte Integer that must not be 0
	kindVarSome             // Variable Byte Integer that must not be 0
	kindAlias               // Topic Alias: has a Reason Code of its own for 0
	kindString              // UTF-8 Encoded String
	kindBinary              // Binary Data
	kindPair                // UTF-8 String Pair
)

// place is a set of places where a property may stand: a bit for each packet
// type, and the unused bit 0 for the properties of a Will Message.
type place uint16

const (
	inWill        place = 1
	inConnect     place = 1 << CONNECT
	inConnack     place = 1 << CONNACK
	inPublish     place = 1 << PUBLISH
	inPuback      place = 1 << PUBACK
	inPubrec      place = 1 << PUBREC
	inPubrel      place = 1 << PUBREL
	inPubcomp     place = 1 << PUBCOMP
	inSubscribe   place = 1 << SUBSCRIBE
	inSuback      place = 1 << SUBACK
	inUnsubscribe place = 1 << UNSUBSCRIBE
	inUnsuback    place = 1 << UNSUBACK
	inDisconnect  place = 1 << DISCONNECT
	inAuth        place = 1 << AUTH

	inMessage  = inPublish | inWill
	inAuthFlow = inConnect | inConnack | inAuth
	inReasons  = inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback | inDisconnect | inAuth
	inAll      = inReasons | inConnect | inMessage | inSubscribe | inUnsubscribe
)

// propertyRules is table 2-4 of MQTT 5, with the values that are Protocol Errors.
var propertyRules = [propLast + 1]struct {
	kind kind
	in   place
}{
	propPayloadFormat:      {kindBool, inMessage},
	propMessageExpiry:      {kindU32, inMessage},
	propContentType:        {kindString, inMessage},
	propResponseTopic:      {kindString, inMessage},
	propCorrelationData:    {kindBinary, inMessage},
	propSubscriptionID:     {kindVarSome, inPublish | inSubscribe},
	propSessionExpiry:      {kindU32, inConnect | inConnack | inDisconnect},
	propAssignedClientID:   {kindString, inConnack},
	propServerKeepAlive:    {kindU16, inConnack},
	propAuthMethod:         {kindString, inAuthFlow},
	propAuthData:           {kindBinary, inAuthFlow},
	propRequestProblemInfo: {kindBool, inConnect},
	propWillDelay:          {kindU32, inWill},
	propRequestResponse:    {kindBool, inConnect},
	propResponseInfo:       {kindString, inConnack},
	propServerReference:    {kindString, inConnack | inDisconnect},
	propReasonString:       {kindString, inReasons},
	propReceiveMaximum:     {kindU16Some, inConnect | inConnack},
	propTopicAliasMaximum:  {kindU16, inConnect | inConnack},
	propTopicAlias:         {kindAlias, inPublish},
	propMaximumQoS:         {kindBool, inConnack},
	propRetainAvailable:    {kindBool, inConnack},
	propUserProperty:       {kindPair, inAll},
	propMaximumPacketSize:  {kindU32Some, inConnect | inConnack},
	propWildcardAvailable:  {kindBool, inConnack},
	propSubIDAvailable:     {kindBool, inConnack},
	propSharedAvailable:    {kindBool, inConnack},
}

// UserProperty is one name with its value. The same name may appear several
// times, and the order is kept. [MQTT-3.3.2-18]
type UserProperty struct{ Key, Value string }

// propReader walks through one property list. next checks everything that the
// table says, so that packets only store what they find. It holds no pointer to
// the reader of the packet, which would move that one to the heap: an error is
// handed over by close.
type propReader struct {
	reader
	seen uint64 // bit set of identifiers
	in   place

	id    byte   // of the current property
	num   uint32 // its value if it is a number
	str   string // its value if it is a string, or the value of a pair
	key   string // the name of a pair
	bytes []byte // its value if it is binary
}

// properties opens the property list that r stands at.
func (r *reader) properties(in place) propReader {
	p := propReader{in: in}
	n := r.varint()
	if int(n) > len(r.b) {
		r.fail(ErrPropertyLength)
	} else {
		p.b = r.take(int(n))
	}
	return p
}

// close ends the walk and hands its error to the reader of the packet.
func (p *propReader) close(r *reader) {
	if p.err != nil && r.err == nil {
		r.err, r.b = p.err, nil
	}
}

// next moves to the next property; false at the end or after an error.
func (p *propReader) next() bool {
	if len(p.b) == 0 {
		return false
	}
	id := p.u8()
	if id > propLast || propertyRules[id].kind == kindNone {
		p.fail(ErrPropertyUnknown)
		return false
	}
	rule := &propertyRules[id]
	if rule.in&p.in == 0 {
		p.fail(ErrPropertyNotAllowed)
		return false
	}
	if p.seen&(1<<id) != 0 && !p.repeatable(id) {
		p.fail(ErrPropertyTwice)
		return false
	}
	p.seen |= 1 << id
	p.id = id
	p.value(rule.kind)
	return p.err == nil
}

// repeatable tells which properties may stand in a list more than once. A
// SUBSCRIBE has one Subscription Identifier, a PUBLISH may be the answer to
// several. [MQTT-3.3.4-4]
func (p *propReader) repeatable(id byte) bool {
	return id == propUserProperty || id == propSubscriptionID && p.in == inPublish
}

// value reads one value and refuses those that may not be.
func (p *propReader) value(k kind) {
	switch k {
	case kindBool:
		if p.num = uint32(p.u8()); p.num > 1 {
			p.fail(ErrPropertyValue)
		}
	case kindU16, kindU16Some, kindAlias:
		p.num = uint32(p.u16())
	case kindU32, kindU32Some:
		p.num = p.u32()
	case kindVarSome:
		p.num = p.varint()
	case kindString:
		p.str = p.reader.str()
	case kindBinary:
		p.bytes = p.binary()
	default: // kindPair [MQTT-1.5.7-1]
		p.key = p.reader.str()
		p.str = p.reader.str()
	}
	if p.num != 0 {
		return
	}
	switch k {
	case kindAlias:
		p.fail(ErrTopicAliasZero) // [MQTT-3.3.2-8]
	case kindU16Some, kindU32Some, kindVarSome:
		p.fail(ErrPropertyValue)
	}
}

// pair is the current property as a User Property.
func (p *propReader) pair() UserProperty { return UserProperty{Key: p.key, Value: p.str} }

// propWriter writes a property list, or only counts its bytes: each packet names
// its properties once and its size cannot differ from what it writes.
type propWriter struct {
	dst   []byte
	n     int
	count bool
}

func (w *propWriter) bool(id byte, v bool) {
	if !v {
		w.byte(id, 0)
		return
	}
	w.byte(id, 1)
}

func (w *propWriter) byte(id, v byte) {
	if w.n += 2; !w.count {
		w.dst = append(w.dst, id, v)
	}
}

func (w *propWriter) u16(id byte, v uint16) {
	if w.n += 3; !w.count {
		w.dst = append(w.dst, id, byte(v>>8), byte(v))
	}
}

func (w *propWriter) u32(id byte, v uint32) {
	if w.n += 5; !w.count {
		w.dst = append(w.dst, id, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
}

func (w *propWriter) varint(id byte, v uint32) {
	if w.n += 1 + varintSize(v); !w.count {
		w.dst = appendVarint(append(w.dst, id), v)
	}
}

func (w *propWriter) str(id byte, v string) {
	if w.n += 3 + len(v); !w.count {
		w.dst = appendString(append(w.dst, id), v)
	}
}

// some writes a string unless it is empty, which stands for absent.
func (w *propWriter) some(id byte, v string) {
	if v != "" {
		w.str(id, v)
	}
}

// binary writes Binary Data unless it is nil, which stands for absent.
func (w *propWriter) binary(id byte, v []byte) {
	if v == nil {
		return
	}
	if w.n += 3 + len(v); !w.count {
		w.dst = appendString(append(w.dst, id), v)
	}
}

// raw writes properties that are in wire form already.
func (w *propWriter) raw(v []byte) {
	if w.n += len(v); !w.count {
		w.dst = append(w.dst, v...)
	}
}

func (w *propWriter) user(list []UserProperty) {
	for i := range list {
		w.n += 5 + len(list[i].Key) + len(list[i].Value)
		if !w.count {
			w.dst = appendString(append(w.dst, propUserProperty), list[i].Key)
			w.dst = appendString(w.dst, list[i].Value)
		}
	}
}

// reasonSize is the length of the list that appendReason writes.
func reasonSize(reason string, user []UserProperty) int {
	w := propWriter{count: true}
	w.some(propReasonString, reason)
	w.user(user)
	return w.n
}

// appendReason writes the only two properties that most answers have.
func appendReason(dst []byte, n int, reason string, user []UserProperty) []byte {
	w := propWriter{dst: appendVarint(dst, uint32(n))}
	w.some(propReasonString, reason)
	w.user(user)
	return w.dst
}

// reason reads a list that holds only a Reason String and User Properties.
func (r *reader) reason(in place) (reason string, user []UserProperty) {
	p := r.properties(in)
	for p.next() {
		if p.id == propReasonString {
			reason = p.str
		} else {
			user = append(user, p.pair())
		}
	}
	p.close(r)
	return reason, user
}

// user reads a list that holds only User Properties.
func (r *reader) user(in place) (user []UserProperty) {
	p := r.properties(in)
	for p.next() {
		user = append(user, p.pair())
	}
	p.close(r)
	return user
}
