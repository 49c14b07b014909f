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
// Messages are stored as copies of their own, with Retain set, and are shared
// with all who ask.
package retained
