// Package script is the language in which the exchanges of the conformance suite
// are written, and what runs them against a broker.
//
// An exchange is a list of lines. In every line % stands for a token that no
// other run of any test has, so that topics and Client Identifiers meet nobody
// else's; @x for a value captured before; # for the number of the repetition;
// {N} at the end of a word for N letters;
// \s \t \0 \xNN for a blank, a tab, U+0000 and a byte. A line that begins with
// "4:" or "5:" is for that version only.
//
// The first word names a client. Its Client Identifier is % and the name with
// digits at its end cut off: a and a2 are two Network Connections of one client.
//
//	a connect [FIELD=VALUE…]   dial, CONNECT, expect CONNACK 00. The word persist asks for a
//	                           session that outlives the connection, the word resumed also
//	                           expects Session Present
//	a hello [FIELD=VALUE…]     the same without expecting anything
//	a dial                     dial only
//	                           With the word ws these three use WebSocket
//	a text BYTES               send bytes in a text frame of a WebSocket; raw sends a binary one
//	a protocol NAME            the subprotocol that the server has selected
//	a > TYPE [FIELD=VALUE…]    send a packet; "4" as a word sends it in that version's form
//	a raw BYTES                send bytes: hexadecimal, or "text"
//	a frame BYTES              send bytes with the Remaining Length put behind the first
//	a < TYPE [FIELD?VALUE…]    expect a packet of the type, others wait for their line; ? is
//	                           = != >= <=, a|b is either, - is absent, * is present, =?x captures
//	a << TYPE [FIELD?VALUE…]   the same, and no other packet before it
//	a sub FILTER [OPTION=N…]   SUBSCRIBE, expect SUBACK with the QoS asked for
//	a unsub FILTER             UNSUBSCRIBE, expect UNSUBACK
//	a pub TOPIC PAYLOAD [F=V…] PUBLISH and the whole handshake of its QoS
//	a recv TOPIC PAYLOAD [F?V] expect PUBLISH, then the whole handshake of its QoS
//	a ping                     PINGREQ, expect PINGRESP: the connection is alive
//	a silent [T]               nothing arrives, and nothing waits
//	a closed [CODE…]           the broker closes. Before that only what the version allows:
//	                           in 5.0 a DISCONNECT, or a CONNACK that refuses, with one of the codes
//	a refused [CODE…]          the broker closes, in any version perhaps after a CONNACK that refuses
//	a ends                     the broker closes, whatever it sent before
//	a eof                      the broker closes and sends nothing before
//	a abort                    close without DISCONNECT
//	a bye [FIELD=VALUE…]       DISCONNECT, then close
//	a collect                  read until nothing more comes
//	a count TYPE N|N..M [F?V…] how many of the collected match
//	a sum b TYPE N             how many of a type a and b have collected together
//	a every TYPE F?V…          all of the collected match
//	a unless FIELD?VALUE…      the test ends, passed, if the last expected packet matches
//	a either TYPE [F?V…]       expect the packet, or that the broker closes
//	a need FIELD?VALUE…        what the broker's CONNACK must say, or the test decides nothing
//	wait 1.5s
//	scram first                makes @first, what SCRAM-SHA-256 begins with
//	scram final|wrong a        makes @final, the answer to the challenge in a's last packet,
//	                           as who knows the password gives it, or who does not
//	scram check a              a's last packet has to prove that the server knows the password
//	repeat N LINE
//
// Lines that begin with ! describe how the wrong broker breaks the statement:
// package wrong explains them. They are not part of the exchange.
package script
