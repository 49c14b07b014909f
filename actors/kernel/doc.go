// Package kernel is what every actor of the node stands on: the compact
// mailbox, the wrapped Receive, the supervision strategy, ordered supervisors,
// supervisor shards with timing wheels, and introspection. It plays the part
// gen_server2 and supervisor play in the Erlang original, on top of
// protoactor-go, and it works around what that library does not do:
//
//	framework                                    kernel
//	mailbox never shrinks, 680 B an actor        queues exist only while messages wait
//	bounded mailbox makes the sender spin        bounds per class, with a written drop rule
//	a panic in Stopping or Stopped leaks         Receive is wrapped; clean-up cannot panic outward
//	back-off is linear, in nanoseconds           real, jittered, bounded; gives up
//	Stop stops all children at once              reverse order, each finished before the next
//	a restart revives an actor told to stop      once told to stop, Restart is ignored
//	the queue of a stopped actor vanishes        it is handed to OnLost and dead-lettered
//	no timer is cheap enough for a connection    one timing wheel per shard
//
// An actor is described once per kind:
//
//	var sessionProps = kernel.NewProps(func() actor.Actor { return new(Session) })
//
// and gets what is its own in its first message. The tree is built from
// ChildSpec values by StartRoot and Supervisor; names, never generated ids,
// address what lives long: root "node", children "node/system", "node/topics/3".
//
// The package imports protoactor and the standard library only.
package kernel
