package sessions

import (
	"slices"
	"sync/atomic"

	"emqttd/actors/store"
)

// load brings in items that are in the store only, as many as can be sent.
//
// What the session has entered becomes readable in any order, because each
// publisher's receipt is written when the last of those who keep its messages has
// entered them. So nothing is read from where something may be missing still:
// what is read behind a gap would leave the gap behind for ever.
func (s *session) load() {
	if s.keep == nil || s.keep.loading {
		return
	}
	out := s.out
	for {
		priority, from, n, ok := s.state.Want(out)
		if !ok {
			return
		}
		items, err := s.readable(int16(priority), from, n)
		if err != nil {
			s.rt.Log.Error("the store does not give back what it has", "client_id", s.id, "error", err)
			s.keep.loading = true // a failed store stays so until the node is restarted
			return
		}
		if len(items) == 0 && s.keep.safe < s.state.Next() {
			if len(s.pending()) > 0 || s.keep.ops != nil || len(out.Taken) > 0 {
				s.loadLater()
				return
			}
			s.keep.safe = s.state.Next()
			continue
		}
		s.state.Loaded(out, priority, deliveryItems(items), len(items) == 0)
		s.state.Fill(out, unixMilli())
	}
}

// readable reads items of which none before them is missing.
func (s *session) readable(priority int16, from uint64, n int) ([]store.Item, error) {
	if from >= s.keep.safe {
		return nil, nil
	}
	items, err := s.rt.Disk.Load(s.keep.id, priority, from, n)
	if i := slices.IndexFunc(items, func(it store.Item) bool { return it.Seq >= s.keep.safe }); i >= 0 {
		items = items[:i]
	}
	return items, err
}

// loadLater looks again when everything that was entered up to now can be read.
func (s *session) loadLater() {
	s.keep.loading = true
	s.enter(nil)
	root, self := s.rt.System.Root, s.self
	m := &readable{upTo: s.state.Next()}
	open := s.pending()
	left := new(atomic.Int32)
	left.Store(int32(len(open)) + 1)
	ready := func(error) {
		if left.Add(-1) == 0 {
			root.Send(self, m)
		}
	}
	for _, r := range open {
		r.After(ready)
	}
	s.commit(s.takeOps(), ready)
}

// readable says that the items below upTo can be read.
type readable struct{ upTo uint64 }

func (*readable) IgnoreDeadLetterLogging() {}
