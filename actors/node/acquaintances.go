package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"emqttd/cluster"
)

// acquaintancesFile is its name in the data folder.
const acquaintancesFile = "cluster.json"

// acquaintances keep in a file which nodes this one has met, so that nodes which were
// joined by hand find each other when all of them start anew. What others tell comes by
// note, which does not wait for the disk; one goroutine writes.
type acquaintances struct {
	path    string
	log     *slog.Logger
	next    chan []cluster.Candidate // the newest list that is not written
	stop    chan struct{}
	writing sync.WaitGroup
	saved   []acquaintance // the goroutine's
}

// acquaintance is one entry of the file.
type acquaintance struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

func newAcquaintances(path string, log *slog.Logger) *acquaintances {
	return &acquaintances{path: path, log: log, next: make(chan []cluster.Candidate, 1), stop: make(chan struct{})}
}

// note has a list written in place of the one before. One goroutine at a time calls it.
func (a *acquaintances) note(list []cluster.Candidate) {
	select {
	case <-a.next:
	default:
	}
	a.next <- list
}

// load reads the file and begins to write to it. What cannot be read is said in the
// log: the node starts as one that has met nobody.
func (a *acquaintances) load() []cluster.Candidate {
	list, err := a.read()
	if err != nil {
		a.log.Warn("the nodes that this one has met cannot be read", "file", a.path, "error", err)
	}
	a.writing.Go(a.write)
	return list
}

func (a *acquaintances) read() ([]cluster.Candidate, error) {
	text, err := os.ReadFile(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []acquaintance
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	list := make([]cluster.Candidate, len(all))
	for i, x := range all {
		if x.Name == "" || x.Address == "" {
			return nil, fmt.Errorf("entry %d has no name or no address", i+1)
		}
		list[i] = cluster.Candidate{Name: x.Name, Address: x.Address}
	}
	a.saved = all
	return list, nil
}

// close writes what has been noted last, and ends the writing.
func (a *acquaintances) close() {
	close(a.stop)
	a.writing.Wait()
}

func (a *acquaintances) write() {
	for {
		select {
		case list := <-a.next:
			a.save(list)
		case <-a.stop:
			select {
			case list := <-a.next:
				a.save(list)
			default:
			}
			return
		}
	}
}

func (a *acquaintances) save(list []cluster.Candidate) {
	all := []acquaintance{}
	for _, c := range list {
		if c.Name != "" { // else it is only an address, at which nobody has answered yet
			all = append(all, acquaintance{c.Name, c.Address})
		}
	}
	if slices.Equal(all, a.saved) {
		return
	}
	if err := a.replace(all); err != nil {
		a.log.Warn("the nodes that this one has met cannot be written down", "file", a.path, "error", err)
		return
	}
	a.saved = all
}

// replace writes a file of its own, syncs it, and renames it: a crash leaves the old
// file or the new one.
func (a *acquaintances) replace(all []acquaintance) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(a.path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(a.path), filepath.Base(a.path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), a.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
