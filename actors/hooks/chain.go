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

// calls is how many calls are under way (the low 16 bits) and how many have ended.
type calls struct{ word atomic.Uint64 }

func (c *calls) enter() { c.word.Add(1) }

func (c *calls) leave() { c.word.Add(1<<16 - 1) }

// progress is the number of calls that have ended; ok is false if none is under
// way.
func (c *calls) progress() (ended uint64, ok bool) {
	w := c.word.Load()
	return w >> 16, w&(1<<16-1) != 0
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

func (c *chain[F]) progress(owner string) (ended uint64, ok bool) {
	for _, e := range c.load() {
		if e.owner == owner {
			return e.calls.progress()
		}
	}
	return 0, false
}
