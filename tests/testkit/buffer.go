package testkit

import (
	"strings"
	"sync"
)

// syncBuffer collects text from any goroutine, and lets others wait for it.
type syncBuffer struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed at the next Write
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return len(p), nil
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// snapshot is the text so far and a channel that is closed when there is more.
func (b *syncBuffer) snapshot() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.text.String(), b.changed
}

// tail is the end of the text, for a message of a failed test.
func (b *syncBuffer) tail() string {
	const limit = 8 << 10
	s := b.String()
	if len(s) > limit {
		s = "…" + s[len(s)-limit:]
	}
	return s
}
