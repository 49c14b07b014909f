package hooks

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// entry is a function at a point.
type entry[F any] struct {
	owner    string
	priority int
	f        F
	calls    calls
}

// calls counts those that are under way, in two generations: a new one begins when
// the one before the last is empty. One that never is has a call that never returns,
// however many others do.
type calls struct {
	generation atomic.Uint32
	under      [2]atomic.Int64
}

// enter begins a call; what it returns counts until -1 is added to it.
func (c *calls) enter() *atomic.Int64 {
	under := &c.under[c.generation.Load()&1]
	under.Add(1)
	return under
}

// older tells whether a call of the generation before is under way. If none is, the
// next one begins. It is for one goroutine at a time.
func (c *calls) older() bool {
	g := c.generation.Load()
	if c.under[(g+1)&1].Load() != 0 {
		return true
	}
	c.generation.Store(g + 1)
	return false
}

// chain is the functions of a point: written under a lock, read as a snapshot.
type chain[F any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*entry[F]] // nil: none
}

func (c *chain[F]) load() []*entry[F] {
	if l := c.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (c *chain[F]) add(owner string, priority int, f any) error {
	fn, err := as[F](f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.load())
	at := len(list)
	for i := range list {
		if list[i].owner == owner {
			return ErrHooked
		}
		if list[i].priority > priority && at == len(list) {
			at = i
		}
	}
	list = slices.Insert(list, at, &entry[F]{owner: owner, priority: priority, f: fn})
	c.list.Store(&list)
	return nil
}

// as makes a function of the point's type.
func as[F any](f any) (fn F, err error) {
	if fn, ok := f.(F); ok {
		return fn, nil
	}
	want, v := reflect.TypeFor[F](), reflect.ValueOf(f)
	if !v.IsValid() || v.Kind() != reflect.Func || v.IsNil() || !v.Type().ConvertibleTo(want) {
		return fn, fmt.Errorf("hooks: a %T is no %s", f, want)
	}
	return v.Convert(want).Interface().(F), nil
}

func (c *chain[F]) remove(owner string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.load()
	list := slices.DeleteFunc(slices.Clone(old), func(e *entry[F]) bool { return e.owner == owner })
	if n = len(old) - len(list); n == 0 {
		return 0
	}
	if len(list) == 0 {
		c.list.Store(nil)
	} else {
		c.list.Store(&list)
	}
	return n
}

func (c *chain[F]) owners() []string {
	list := c.load()
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].owner
	}
	return names
}

func (c *chain[F]) older(owner string) bool {
	for _, e := range c.load() {
		if e.owner == owner {
			return e.calls.older()
		}
	}
	return false
}
