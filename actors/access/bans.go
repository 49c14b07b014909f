package access

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// BanKind says what a Ban is about.
type BanKind string

// The kinds of bans.
const (
	BanClient  BanKind = "clientid"
	BanUser    BanKind = "username"
	BanAddress BanKind = "peerhost" // an IP or a CIDR
)

// Ban keeps somebody out.
type Ban struct {
	Kind   BanKind   `json:"kind"`
	Who    string    `json:"who"`
	Until  time.Time `json:"until,omitzero"` // zero is for ever
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Bans are the bans in force. They are in memory; a Table keeps them. A nil Bans
// has none.
type Bans struct {
	told  announcer
	some  atomic.Bool
	table Table

	mu       sync.RWMutex
	all      map[banKey]Ban
	networks []netip.Prefix // of those bans that are about more than one address
}

type banKey struct {
	kind BanKind
	who  string
}

// OpenBans reads the bans of a table.
func OpenBans(t Table) (*Bans, error) {
	b := &Bans{table: t, all: map[banKey]Ban{}}
	err := t.Each(func(_, value []byte) error {
		var x Ban
		if err := json.Unmarshal(value, &x); err != nil {
			return err
		}
		if err := x.canonical(); err != nil {
			return err
		}
		b.all[x.key()] = x
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the bans: %w", err)
	}
	b.index()
	share(t, b.relearn)
	return b, nil
}

// relearn takes over what another node has changed.
func (b *Bans) relearn(key []byte, get func() ([]byte, bool)) {
	kind, who, _ := strings.Cut(string(key), "\x00")
	k := banKey{BanKind(kind), who}
	b.mu.Lock()
	var x Ban
	value, ok := get()
	if ok = ok && json.Unmarshal(value, &x) == nil && x.canonical() == nil && x.key() == k; ok {
		b.all[k] = x
	} else {
		delete(b.all, k)
	}
	if b.some.Store(len(b.all) > 0); k.kind == BanAddress {
		b.index()
	}
	b.mu.Unlock()
	if ok {
		b.told.tell(x.selector())
	}
}

func (x *Ban) key() banKey   { return banKey{x.Kind, x.Who} }
func (x *Ban) table() []byte { return []byte(string(x.Kind) + "\x00" + x.Who) }
func (x *Ban) over() bool    { return !x.Until.IsZero() && !x.Until.After(time.Now()) }
func (x *Ban) why() string {
	return "banned by " + string(x.Kind) + ": " + cmp.Or(x.Reason, "no reason given")
}

// canonical checks the ban and writes an address in its one form.
func (x *Ban) canonical() error {
	switch x.Kind {
	case BanClient, BanUser:
		if x.Who == "" {
			return errors.New("a ban needs a name")
		}
		return nil
	case BanAddress:
		if a, err := netip.ParseAddr(x.Who); err == nil {
			x.Who = a.Unmap().WithZone("").String()
			return nil
		}
		p, err := netip.ParsePrefix(x.Who)
		if err != nil {
			return fmt.Errorf("expected an IP address or a CIDR; got %q", x.Who)
		}
		if x.Who = p.Masked().String(); p.IsSingleIP() {
			x.Who = p.Addr().String()
		}
		return nil
	}
	return fmt.Errorf("expected %s, %s or %s; got %q", BanClient, BanUser, BanAddress, x.Kind)
}

// Add bans somebody, or changes the ban. Clients that it concerns are to be
// closed: they are announced.
func (b *Bans) Add(x Ban) error {
	if err := x.canonical(); err != nil {
		return err
	}
	if x.At.IsZero() {
		x.At = time.Now()
	}
	value, err := json.Marshal(x)
	if err != nil {
		return err
	}
	b.mu.Lock()
	if err = b.table.Put(x.table(), value); err == nil {
		b.all[x.key()] = x
		err = b.purge()
		b.index()
	}
	b.mu.Unlock()
	if err == nil {
		b.told.tell(x.selector())
	}
	return err
}

// Remove lifts a ban; false if there is none.
func (b *Bans) Remove(kind BanKind, who string) (bool, error) {
	x := Ban{Kind: kind, Who: who}
	if err := x.canonical(); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.all[x.key()]; !ok {
		return false, nil
	}
	if err := b.table.Delete(x.table()); err != nil {
		return false, err
	}
	delete(b.all, x.key())
	b.index()
	return true, nil
}

// List is the bans in force, by kind and who.
func (b *Bans) List() []Ban {
	b.mu.RLock()
	var list []Ban
	for _, x := range b.all {
		if !x.over() {
			list = append(list, x)
		}
	}
	b.mu.RUnlock()
	slices.SortFunc(list, func(x, y Ban) int {
		return cmp.Or(strings.Compare(string(x.Kind), string(y.Kind)), strings.Compare(x.Who, y.Who))
	})
	return list
}

// purge deletes the bans that are over. b.mu is held.
func (b *Bans) purge() error {
	for k, x := range b.all {
		if x.over() {
			if err := b.table.Delete(x.table()); err != nil {
				return err
			}
			delete(b.all, k)
		}
	}
	return nil
}

// index notes what is asked about often. b.mu is held, or nobody knows b yet.
func (b *Bans) index() {
	b.some.Store(len(b.all) > 0)
	b.networks = nil
	for k := range b.all {
		if p, err := netip.ParsePrefix(k.who); k.kind == BanAddress && err == nil {
			b.networks = append(b.networks, p)
		}
	}
}

func (x *Ban) selector() Selector {
	switch x.Kind {
	case BanClient:
		return Selector{ClientID: x.Who}
	case BanUser:
		return Selector{Username: x.Who}
	}
	return Selector{}
}

func (b *Bans) notify(f func(Selector)) {
	if b != nil {
		b.told.add(f)
	}
}

// banned tells whether somebody is, and why.
func (b *Bans) banned(c *Credentials) (why string, banned bool) {
	if b == nil || !b.some.Load() {
		return "", false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, k := range [...]banKey{{BanClient, c.ClientID}, {BanUser, c.Username}} {
		if x, ok := b.all[k]; ok && !x.over() {
			return x.why(), true
		}
	}
	a, err := netip.ParseAddr(c.Peer)
	if err != nil {
		return "", false
	}
	a = a.Unmap().WithZone("")
	if x, ok := b.all[banKey{BanAddress, a.String()}]; ok && !x.over() {
		return x.why(), true
	}
	for _, p := range b.networks {
		if x := b.all[banKey{BanAddress, p.String()}]; p.Contains(a) && !x.over() {
			return x.why(), true
		}
	}
	return "", false
}
