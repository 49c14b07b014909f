package store

// Store takes what a session has done in one turn and lets its acknowledgements
// go when that is as safe as the session's class promises.
type Store interface {
	// Commit makes the turn of one session safe and then calls release, which
	// sends what the turn produced. Turns of one session are released in the
	// order of their commits. Release runs on the caller's goroutine or on one
	// of the store's; it does not block.
	Commit(release func())
}

// Memory is the class of sessions that live as long as the process: there is
// nothing to wait for.
type Memory struct{}

// Commit implements Store.
func (Memory) Commit(release func()) { release() }
