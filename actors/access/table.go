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

// NoTable keeps nothing: users and bans are gone after a restart.
type NoTable struct{}

// Put does nothing.
func (NoTable) Put(_, _ []byte) error { return nil }

// Delete does nothing.
func (NoTable) Delete([]byte) error { return nil }

// Each calls nothing.
func (NoTable) Each(func(_, _ []byte) error) error { return nil }
