// Package store keeps what has been acknowledged: sessions, their queues and
// windows, the identifiers of QoS 2 messages, wills, retained messages, and
// small tables for others. It owns one pebble database, a folder of the node.
//
//	sessions, retained, …                 actor "store"          settle goroutine
//	  Commit(ops, done) ──append──▶ group ──apply──▶ WAL ──sync──▶ done(nil), in order
//	  Receipt: parts of several ──last part──▶ one Commit
//
// Commit only appends to the group that fills; the actor applies a whole group
// at a time, and while the disk syncs it the next one fills: one fsync covers
// everything that came in during the one before (docs/adr/0008).
//
// The records (one version byte first, keys in key.go):
//
//	h            header: format, node, created        h/ids   identifiers handed out
//	s|sid        Session                              w|sid   Window: what is alive in the queue
//	u|sid|text   Subscription                         a|sid|pid  inbound QoS 2 identifier
//	q|sid|prio|seq  Item, its message inside or by m|mid, a message of several sessions
//	r|topic      retained message                     t|table|key  tables of others
//	z|key        what could not be decoded, kept for whoever wants to look
//
// A message leaves a queue by a new Window, which is one small record for any
// number of messages; the items behind it are deleted later, many at once.
//
// The parent of the actor is the root. A crash of it costs nothing: what waits
// to be written belongs to the Disk, and the restarted actor goes on with it.
// Its mailbox never holds more than one message of ours.
package store
