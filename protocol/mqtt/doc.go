// Package mqtt is the codec for MQTT 3.1, 3.1.1 and 5.0: one file for each
// Control Packet with its type, Decode, Append and Size.
//
//	 buffer ──ParseHeader──► Header, n ──► body = buffer[n : n+h.Remaining]
//	                            │
//	Connect.Decode(h, body, 0) ─┴─ Publish.Decode(h, body, v), Ack.Decode, …
//
//	 Publish.Append(dst, v) ──► dst + packet          Size(v) == len of packet
//
// Decode copies nothing: strings and byte slices of the result are parts of the
// body and valid until its memory is reused. Who keeps them longer clones them.
// Decode may be called again on the same struct, which it overwrites.
//
// Decoders believe no length, never panic, accept no trailing bytes, and fail
// with an *Error that says which reason code the peer gets, which metric counts
// it, and which clause was violated. What they check is what one packet shows by
// itself; what depends on the session or on settings (limits, topic aliases,
// packet identifiers in use, filter syntax) is left to the caller.
//
// Clauses are those of 3.1.1, as in [MQTT-3.3.1-4], and where the number differs
// those of 5.0. In 3.1 there are none; where it is more lenient, so is Decode.
package mqtt
