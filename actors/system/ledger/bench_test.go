package ledger

import "testing"

// What one read of a socket with n messages for one session costs in entries: to
// be held against the 0.5 µs a message that the whole way takes.
func BenchmarkEntriesOfOneTurn(b *testing.B) {
	var l Ledger
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Accept(1, 16)
			l.End(Delivered, 16)
		}
	})
}
