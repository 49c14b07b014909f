// Package retained keeps the last retained message of each topic.
//
//	publisher ── Store ──▶ retained/<shard>   by hash of the topic
//	session ── Lookup ──▶ the shard of an exact filter, or all of them
//	        ◀── Found, Found, … Found{Last}
//
// The shards are the children "0" to "n-1" of the supervisor "retained". Each
// is the only one who reads and writes its table, a trie of topic levels; the
// tables belong to the Stores and outlive the actors: a killed shard goes on
// where it was. They accept Store, Lookup, List and Clean and emit Found, Listed
// and Cleaned. What bounds their mailboxes is that a publisher reads its socket
// more slowly than a shard stores (a microsecond a message), and that a session
// asks once for a subscription.
//
// In a cluster every node has all messages (package cluster/replicas). Each change
// has a version by the hybrid logical clock, which also is the order of storing;
// the newest one wins, wherever it was made. A removal leaves a tombstone for a
// time, and so does an expired message, with its own version: every node lets it
// expire by itself. Clean is one entry that everything older gives way to. What
// comes from another node is stored, not published. What a node says of itself
// ($SYS/brokers/<node>/…) is told by that node only, is not on other nodes' disks,
// and goes when the node is down. The limits hold on each node by itself.
//
// Messages are stored as copies of their own, with Retain set, and are shared
// with all who ask.
package retained
