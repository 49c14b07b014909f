package access

import "sync"

// announcer tells whoever wants to know of changes. The zero value is ready.
type announcer struct {
	mu sync.Mutex
	to []func(Selector)
}

func (a *announcer) add(f func(Selector)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = append(a.to[:len(a.to):len(a.to)], f)
}

func (a *announcer) tell(s Selector) {
	a.mu.Lock()
	to := a.to
	a.mu.Unlock()
	for _, f := range to {
		f(s)
	}
}

// notifier has changes to announce. A nil one has none.
type notifier interface{ notify(func(Selector)) }
