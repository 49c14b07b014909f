package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/xdg-go/scram"

	"emqttd/actors/access/hash"
)

// Accounts are the users, or the clients, that the node knows itself: names with
// passwords, of which it keeps what package hash makes of them. They are managed
// at run time and are a Module. They are in memory as a whole, some 400 bytes
// each, so that a CONNECT waits for nothing; a Table keeps them. Users whose
// passwords are kept by a quick scheme may authenticate with SCRAM-SHA-256, too.
type Accounts struct {
	kind   AccountKind
	pool   *hash.Pool
	scheme hash.Scheme
	told   announcer

	writing sync.Mutex // held for a change, with its write to the table
	table   Table

	mu  sync.RWMutex
	all map[string]account
}

// AccountKind says what the names of Accounts are.
type AccountKind string

// The kinds, each with the word of its module in the configuration.
const (
	UserNames AccountKind = "username"
	ClientIDs AccountKind = "clientid"
)

// account is what is kept of one; it is immutable.
type account struct {
	scheme       hash.Scheme
	stored, salt string
	superuser    bool
	// scram is for SCRAM-SHA-256; nil: the user cannot use it.
	scram *scram.StoredCredentials
}

// Account is one as it is listed.
type Account struct {
	Name      string `json:"name"`
	Superuser bool   `json:"superuser"`
}

// ErrExists is that there is such an account already.
var ErrExists = errors.New("existed")

// OpenAccounts reads the accounts of a table. New passwords are kept by the
// scheme; those that are there by another one stay good.
func OpenAccounts(kind AccountKind, t Table, pool *hash.Pool, scheme hash.Scheme) (*Accounts, error) {
	a := &Accounts{kind: kind, pool: pool, scheme: scheme, table: t, all: map[string]account{}}
	err := t.Each(func(key, value []byte) error {
		x, err := decodeAccount(string(value))
		a.all[string(key)] = x
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts of %s: %w", kind, err)
	}
	share(t, a.relearn)
	return a, nil
}

// relearn takes over what another node has changed.
func (a *Accounts) relearn(key []byte, get func() ([]byte, bool)) {
	name := string(key)
	a.writing.Lock()
	value, ok := get()
	x, err := account{}, error(nil)
	if ok {
		x, err = decodeAccount(string(value))
	}
	a.mu.Lock()
	if ok && err == nil {
		a.all[name] = x
	} else {
		delete(a.all, name) // what cannot be read lets nobody in
	}
	a.mu.Unlock()
	a.writing.Unlock()
	a.told.tell(a.selector(name))
}

// has tells whether there is an account of the name with this password.
func (a *Accounts) has(ctx context.Context, name string, password []byte) bool {
	x, ok := a.get(name)
	if !ok {
		return false
	}
	good, err := a.pool.Check(ctx, x.scheme, x.stored, x.salt, password)
	return good && err == nil
}

// An account is kept as its scheme, salt, stored password, s for a super-user and
// the keys for SCRAM, with NULs between.
func (x *account) encode() []byte {
	super := ""
	if x.superuser {
		super = "s"
	}
	return []byte(strings.Join([]string{x.scheme.String(), x.salt, x.stored, super, encodeScram(x.scram)}, "\x00"))
}

func decodeAccount(value string) (account, error) {
	f := strings.Split(value, "\x00")
	if len(f) != 5 {
		return account{}, errors.New("an account is damaged")
	}
	scheme, err := hash.Parse(f[0])
	if err != nil {
		return account{}, err
	}
	keys, err := decodeScram(f[4])
	return account{scheme: scheme, salt: f[1], stored: f[2], superuser: f[3] == "s", scram: keys}, err
}

// Add makes an account. ErrExists says that there is one of the name.
func (a *Accounts) Add(ctx context.Context, name string, password []byte, superuser bool) error {
	return a.put(ctx, name, password, superuser, false)
}

// Set makes an account, or replaces the one of the name.
func (a *Accounts) Set(ctx context.Context, name string, password []byte, superuser bool) error {
	return a.put(ctx, name, password, superuser, true)
}

func (a *Accounts) put(ctx context.Context, name string, password []byte, superuser, replace bool) error {
	if name == "" || len(password) == 0 || strings.ContainsRune(name, 0) {
		return errors.New("an account needs a name and a password")
	}
	if a.scheme.String() == "plain" && strings.ContainsRune(string(password), 0) {
		return errors.New("a plain password may not have a NUL in it")
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if _, exists := a.get(name); exists && !replace {
		return ErrExists
	}
	stored, salt, err := a.pool.Store(ctx, a.scheme, password)
	if err != nil {
		return err
	}
	x := account{scheme: a.scheme, stored: stored, salt: salt, superuser: superuser}
	if a.kind == UserNames && !a.scheme.Slow() {
		// Beside a slow hash these keys would be the easier ones to guess from. Names
		// and passwords that SCRAM cannot say have none.
		if keys, err := scramKeys(name, string(password)); err == nil {
			x.scram = &keys
		}
	}
	if err := a.table.Put([]byte(name), x.encode()); err != nil {
		return err
	}
	a.mu.Lock()
	a.all[name] = x
	a.mu.Unlock()
	a.told.tell(a.selector(name))
	return nil
}

// Delete deletes an account; false if there is none. Its clients may not stay
// connected.
func (a *Accounts) Delete(name string) (bool, error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if _, exists := a.get(name); !exists {
		return false, nil
	}
	if err := a.table.Delete([]byte(name)); err != nil {
		return false, err
	}
	a.mu.Lock()
	delete(a.all, name)
	a.mu.Unlock()
	a.told.tell(a.selector(name))
	return true, nil
}

// List is all accounts by name.
func (a *Accounts) List() []Account {
	a.mu.RLock()
	list := make([]Account, 0, len(a.all))
	for name, x := range a.all {
		list = append(list, Account{name, x.superuser})
	}
	a.mu.RUnlock()
	slices.SortFunc(list, func(x, y Account) int { return strings.Compare(x.Name, y.Name) })
	return list
}

func (a *Accounts) get(name string) (account, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	x, ok := a.all[name]
	return x, ok
}

func (a *Accounts) selector(name string) Selector {
	if a.kind == ClientIDs {
		return Selector{ClientID: name}
	}
	return Selector{Username: name}
}

func (a *Accounts) notify(f func(Selector)) {
	if a != nil {
		a.told.add(f)
	}
}

// Name is the module's word in the configuration.
func (a *Accounts) Name() string { return string(a.kind) }

// of is the name that the account of a client would have.
func (a *Accounts) of(c *Credentials) string {
	if a.kind == ClientIDs {
		return c.ClientID
	}
	return c.Username
}

// Authenticate compares the password. As with EMQ, a client without a name or a
// password is denied, and one whose name is not known is left to others.
func (a *Accounts) Authenticate(ctx context.Context, c *Credentials) (Result, error) {
	name := a.of(c)
	if name == "" || c.Password == nil {
		return Result{Verdict: Deny, Why: a.Name() + ": no name or password"}, nil
	}
	x, ok := a.get(name)
	if !ok {
		return Result{Why: a.Name() + ": not known"}, nil
	}
	good, err := a.pool.Check(ctx, x.scheme, x.stored, x.salt, c.Password)
	if err != nil {
		return Result{}, err
	}
	if !good {
		return Result{Verdict: Deny, Why: a.Name() + ": wrong password"}, nil
	}
	return Result{Verdict: Allow, Superuser: x.superuser, Why: a.Name() + ": password"}, nil
}

// Review looks whether the account is still there.
func (a *Accounts) Review(_ context.Context, c *Credentials) (Result, error) {
	x, ok := a.get(a.of(c))
	if !ok {
		return Result{Verdict: Deny, Why: a.Name() + ": deleted"}, nil
	}
	return Result{Verdict: Allow, Superuser: x.superuser}, nil
}
