// Package checker holds a broker to what it has acknowledged. It plays a set of
// clients that publish, subscribe, come, go, and acknowledge late, all chosen by
// a seed, and remembers what the broker has promised each of them. When the
// broker has died and is back, Drain says what it has broken:
//
//	message acknowledged to its publisher and not to its subscriber ─▶ must arrive
//	message completed at QoS 2                                     ─▶ must not arrive again
//	two messages of a publisher, a topic and a QoS                  ─▶ in their order
//	session that a CONNACK has promised, subscription of a SUBACK   ─▶ must be there
//	session that a clean start has ended                            ─▶ must not be there
//	retained message, set or cleared                                ─▶ as acknowledged
//	will of a client that was lost                                  ─▶ must arrive
//
// An acknowledgement counts when the client has read it from its end of the
// connection. The clients keep their own state over the death of the broker, as
// the specification asks of them: the identifiers of received QoS 2 messages, and
// what they have published and must send again (MQTT 3.1.1 and 5.0, 4.1, 4.4).
//
// One World is one such set. Everything in it happens under one lock, so that a
// test can stop the world, cut the power of the broker, and Clone what every
// client had seen at that moment.
package checker
