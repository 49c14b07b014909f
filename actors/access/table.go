package access

// Table is where the node keeps its users and bans. Put and Delete return when
// the change is safe; nobody calls them at the same time for the same table. Keys
// and values belong to the caller.
type Table interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	// Each calls f for all entries until it returns an error, which it returns.
	Each(f func(key, value []byte) error) error
}

// Shared is a Table that other nodes change, too.
type Shared interface {
	Table
	// Get is the value of a key as it is now, which must not be changed.
	Get(key []byte) (value []byte, ok bool)
	// OnChange has f called with each key that another node has changed, on any
	// goroutine.
	OnChange(f func(key []byte))
}

// share has changed called with each key that another node changes, if others may.
// get is what the key has by then: who keeps a copy asks under the lock under which
// he changes it, so that of two changes at a time the last one stays.
func share(t Table, changed func(key []byte, get func() ([]byte, bool))) {
	if s, ok := t.(Shared); ok {
		s.OnChange(func(key []byte) { changed(key, func() ([]byte, bool) { return s.Get(key) }) })
	}
}

// NoTable keeps nothing: users and bans are gone after a restart.
type NoTable struct{}

// Put does nothing.
func (NoTable) Put(_, _ []byte) error { return nil }

// Delete does nothing.
func (NoTable) Delete([]byte) error { return nil }

// Each calls nothing.
func (NoTable) Each(func(_, _ []byte) error) error { return nil }
