// Package topics connects publishers with subscribers: topic shards, which are
// the single writers of the subscription tables, and the Router, by which every
// publisher reads them without a lock and without a hop.
//
//	            Subscribe, Unsubscribe                     Publish, Flush
//	session ───────────────────────────▶ topics/<shard>    publisher's goroutine
//	        ◀─────────────────────────── (one writer)      (many readers)
//	          Subscribed, Unsubscribed        │                  │
//	                                          ▼                  ▼
//	                    tables: filter ─▶ id ─▶ entry ─▶ rows, shared groups
//	                                                        │ subscriber index
//	session ◀─────────────────── Deliver ────────────── Subscriber
//
// The shards are the children "0" to "n-1" of the supervisor "topics". They
// accept Subscribe, Unsubscribe and Forget and emit the answers. The tables
// belong to the Router and outlive the actors, as ETS tables with an heir do:
// while a shard is down or restarting a PUBLISH still matches, and changes of
// subscriptions wait in its mailbox. What bounds that mailbox is the one
// SUBSCRIBE or UNSUBSCRIBE which a session has under way at a time.
//
// An exact filter lives in the shard of its hash, a wildcard filter in the shard
// of its first level, one that starts with a wildcard in shard 0: a match looks
// into one hash table and at most two tries, whatever the number of shards.
//
// # Entries
//
// A filter with one subscriber, as nearly all have, is one 64-bit word: the row
// itself. More rows, and shared groups, make it a set: an array of rows to which
// the writer appends, in which it replaces and blanks words, and which it
// replaces when it is full or has too many blanks. A row names its subscriber by
// a small index. Indexes, filter ids and sets that have become free are used
// again when no reader is left that may know them (index.Epochs).
//
// # Flow control
//
// A Batch collects what all messages of one read of a socket mean for each
// subscriber, and tells it once. What is on its way to a subscriber is counted
// in bytes until the session says Done. Above a bound the goroutine that reads a
// socket waits, which stops its publisher; an actor, which must not wait, sheds
// QoS 0.
package topics
