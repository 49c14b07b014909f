package configuration

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"emqttd/config"
)

// Verb is what an operator asks for.
type Verb uint8

// The verbs.
const (
	Reload   Verb = iota // read the files again
	Set                  // write Request.Values into the files, and reload
	Rollback             // write the files of Request.Number, and reload
)

// Value is a key with what it is to be.
type Value struct{ Key, Value string }

// Request asks the actor for a change. It is answered with one *Answer.
type Request struct {
	Verb   Verb
	By     string // who asks, for the history
	Values []Value
	Number int
}

// Outcome is what became of a Request that was carried out.
type Outcome struct {
	Number  int             `json:"number"`  // of the configuration in the history
	Changes []config.Change `json:"changes"` // of what was accepted; none if nothing has changed
	// Pending is all that waits for a restart, not only what this request changed.
	Pending []config.Change `json:"pending"`
	// Warnings are those of the files.
	Warnings []config.Problem `json:"warnings"`
}

// Why a request is refused, besides what is wrong with a file.
var (
	ErrNoFile  = errors.New("the node was started without a configuration file")
	ErrNoEntry = errors.New("the history has no configuration of that number")
	ErrBusy    = errors.New("too many changes of the configuration wait")
	ErrNow     = errors.New("the configuration cannot be changed now") // the node starts, stops, or is slow
)

// do carries a request out. One does so at a time.
func (w *Owner) do(r Request) (Outcome, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	out, err := w.change(r)
	if err != nil {
		w.refused.Add(1)
		w.o.Log.Error("configuration refused, the one before stays", "by", r.By, "what", r.what(), "reason", err)
		if w.o.Refused != nil && r.Verb == Reload {
			w.o.Refused(err)
		}
		return out, err
	}
	w.accepted.Add(1)
	if w.o.Refused != nil {
		w.o.Refused(nil)
	}
	return out, nil
}

// what names the request in the history.
func (r *Request) what() string {
	switch r.Verb {
	case Set:
		keys := make([]string, len(r.Values))
		for i, v := range r.Values {
			keys[i] = v.Key
		}
		return "set " + strings.Join(keys, " ")
	case Rollback:
		return fmt.Sprintf("rollback %d", r.Number)
	}
	return "reload"
}

func (w *Owner) change(r Request) (Outcome, error) {
	if w.o.Loaded.Source() == "" {
		return Outcome{}, ErrNoFile
	}
	next, problems, err := w.next(r)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return Outcome{}, err
	}
	out, err := w.accept(r, next)
	out.Warnings = append([]config.Problem{}, problems.Warnings...)
	return out, err
}

// next is the configuration that a request asks for. Nothing is written.
func (w *Owner) next(r Request) (*config.Loaded, config.Problems, error) {
	loaded := w.o.Loaded
	switch r.Verb {
	case Set:
		return edited(loaded, r.Values)
	case Rollback:
		e, err := w.history.get(r.Number)
		if err != nil {
			return nil, config.Problems{}, err
		}
		next, problems := w.reread(e.Files)
		return next, problems, otherFiles(next.Files, e.Files)
	}
	next, problems := loaded.Again(nil)
	return next, problems, nil
}

// edited is what the files would be with other values.
func edited(loaded *config.Loaded, values []Value) (*config.Loaded, config.Problems, error) {
	texts := map[string][]byte{}
	next, problems := loaded.Again(nil)
	for _, v := range values {
		f, err := next.Edit(v.Key, v.Value)
		if err != nil {
			return nil, config.Problems{}, err
		}
		texts[f.Path] = f.Text
		next, problems = loaded.Again(texts)
	}
	return next, problems, nil
}

// otherFiles says which files stand in the way of a rollback: files are neither made
// nor removed by it.
func otherFiles(now, then []config.FileText) error {
	has := func(files []config.FileText, f config.FileText) bool {
		return slices.ContainsFunc(files, func(g config.FileText) bool { return g.Path == f.Path })
	}
	for _, f := range now {
		if !has(then, f) {
			return fmt.Errorf("%s was not there then: remove it first", f.Path)
		}
	}
	for _, f := range then {
		if !has(now, f) {
			return fmt.Errorf("%s is not there any more: make an empty one first", f.Path)
		}
	}
	return nil
}

// accept makes next the running configuration, or changes nothing.
func (w *Owner) accept(r Request, next *config.Loaded) (Outcome, error) {
	s := w.state.Load()
	running := s.running.Follow(next)
	out := Outcome{
		Number:  s.number,
		Changes: orNone(config.Changes(s.loaded.Config, next.Config)),
		Pending: orNone(config.Changes(running, next.Config)),
	}
	ready, err := w.prepare(s.running, running)
	if err != nil {
		return out, err
	}
	if out.Number, err = w.keep(r, s, next, out.Changes); err != nil {
		drop(ready)
		return out, err
	}
	for _, p := range ready {
		if p.Commit != nil {
			p.Commit()
		}
	}
	w.state.Store(newState(running, next, out.Number))
	w.o.Log.Info("configuration accepted", "number", out.Number, "by", r.By, "what", r.what(), "changes", len(out.Changes), "pending", len(out.Pending))
	return out, nil
}

func orNone(list []config.Change) []config.Change { return append([]config.Change{}, list...) }

// prepare has the parts that are concerned make ready.
func (w *Owner) prepare(from, to *config.Config) ([]Ready, error) {
	changes := config.Changes(from, to)
	var all []Ready
	for i := range w.parts {
		p := &w.parts[i]
		if !slices.ContainsFunc(changes, func(c config.Change) bool { return p.Concerns(c.Key) }) {
			continue
		}
		ready, err := p.Prepare(from, to)
		if err != nil {
			drop(all)
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		all = append(all, ready)
	}
	return all, nil
}

func drop(all []Ready) {
	for _, r := range all {
		if r.Drop != nil {
			r.Drop()
		}
	}
}

// keep writes the files that differ from those on disk, and the entry of the
// history; the number is that of the entry, or the present one if the files are as
// the newest entry has them. The entry is made ready first: what is left then can
// hardly fail, and if the process ends in between the next start enters the files.
func (w *Owner) keep(r Request, s *state, next *config.Loaded, changes []config.Change) (int, error) {
	publish, number := func() error { return nil }, s.number
	if last := w.history.last(); last == nil || !last.same(next.Files) {
		e := &Entry{Time: w.o.Now(), By: r.By, What: r.what(), Changes: changes, Files: next.Files}
		var err error
		if publish, err = w.history.stage(e); err != nil {
			return 0, err
		}
		number = e.Number
	}
	undo := func() error { return nil }
	if r.Verb != Reload {
		var err error
		if undo, err = w.write(next.Files); err != nil {
			return 0, errors.Join(err, w.history.unstage())
		}
	}
	if err := publish(); err != nil {
		return 0, errors.Join(err, undo())
	}
	return number, nil
}

// write puts files on disk, those that are other there. undo puts the ones before
// back, which is done already where one cannot be written.
func (w *Owner) write(files []config.FileText) (undo func() error, err error) {
	now, _ := w.o.Loaded.Again(nil)
	var done []config.FileText
	undo = func() (err error) {
		for _, f := range done {
			err = errors.Join(err, replaceFile(f.Path, f.Text, nil))
		}
		return err
	}
	for _, f := range files {
		i := slices.IndexFunc(now.Files, func(g config.FileText) bool { return g.Path == f.Path })
		if i < 0 || bytes.Equal(now.Files[i].Text, f.Text) {
			continue
		}
		if err := replaceFile(f.Path, f.Text, now.Files[i].Text); err != nil {
			return nil, errors.Join(fmt.Errorf("%s cannot be written: %w", f.Path, err), undo())
		}
		done = append(done, now.Files[i])
	}
	return undo, nil
}
