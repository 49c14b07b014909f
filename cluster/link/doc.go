// Package link carries the cluster: it implements cluster.Net over streams of
// bytes (package wire) and decides who is a member.
//
//	members          who was found, who is dialled, who counts: the View
//	link/<peer>      one actor for each other node: begins, resumes and ends the
//	                 conversation with it, and watches its heartbeat
//
// The actors decide; the bytes pass them by. Each conversation (Peer) has a
// reader and a writer goroutine for its stream, one that calls the handlers of the
// data lane, and one that lives as long as it does and calls the services:
//
//	Send ──▶ control lane ─┐                      ┌─▶ handler, on the reader
//	                       ├─ writer ══▶ reader ──┤
//	SendData ▶ data lane ──┘   credit             └─▶ data worker ─▶ handler
//
// # Streams and conversations
//
// Of two nodes the one with the smaller name dials. The other one, if it is not
// dialled, calls once and is called back. Both prove the cookie over nonces of both
// sides, so that nothing that was overheard opens a link again, and over each
// other's names and incarnations. A conversation outlives its streams: messages are
// numbered, kept until they are acknowledged, and sent again on the next stream,
// which resumes the conversation if both sides name the same one and neither has
// given the other up.
//
// # Who is down
//
// Each side tells the other once a second that it lives and what it has last heard
// from it. Silence is counted from the last time both directions worked, so that a
// cut in one direction ends the same way on both sides: after three seconds a
// member is suspect, after eight it is down. It is down at once when its port
// refuses a connection, when it says good-bye, and when it comes with a new
// incarnation. A member that was down may come back at any time.
//
// # What is bounded
//
// The receiver of data grants credit: what its handlers have not taken yet. What
// waits for credit waits in the sender, whose parts bound it by the callbacks they
// get. The control lane is bounded by the time until the peer is down and by
// maxControl. Nothing that a peer sends makes this side keep more than the credit.
package link
