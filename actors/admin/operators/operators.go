// Package operators keeps who may administer the node over HTTP: users with passwords, as EMQ's dashboard has them, and
// API keys for programs, each with a role. They are not the users of MQTT.
//
// A user admin with the password public is there until he is given another one. His role cannot be taken away, nor can
// he be deleted, so that nobody locks himself out; and public lets him in from the node's own machine only.
package operators

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
)

// Role is what an operator may do. Each may do what those before it may.
type Role uint8

// The roles.
const (
	Viewer   Role = iota + 1 // look at everything but accounts
	Operator                 // publish, subscribe, kick, ban; what concerns clients
	Admin                    // accounts, keys, actors, listeners; everything
)

var roleNames = [...]string{"none", "viewer", "operator", "admin"}

// String is the role's name.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("expected viewer, operator or admin; got %q", s)
}

// roleOf is the role that a tag of EMQ gives. There tags were for people to read, and everybody might do everything.
func roleOf(name, tags string) Role {
	switch {
	case name == Default:
		return Admin
	case tags == "administrator":
		return Admin
	}
	if r, err := ParseRole(tags); err == nil {
		return r
	}
	return Viewer
}

// The user who is there from the beginning.
const (
	Default         = "admin"
	defaultPassword = "public"
	defaultTags     = "administrator"
)

// Refusals.
var (
	ErrExists   = errors.New("there is one of that name already")
	ErrNone     = errors.New("there is none of that name")
	ErrDefault  = errors.New("admin may not be deleted, nor lose his role")
	ErrDenied   = errors.New("wrong user name or password")
	ErrShipped  = errors.New("admin's first password works on the node's own machine only: change it there")
	errNameless = errors.New("a user needs a name and a password")
)

// User is a user as he is listed.
type User struct {
	Name string `json:"name"`
	Tags string `json:"tags"`
	Role string `json:"role"`
}

// Who is somebody who has been let in.
type Who struct {
	Name string // of the user, or the identifier of the key
	Role Role
}

// Options: see Open.
type Options struct {
	Table access.Table // where they are kept
	Pool  *hash.Pool   // bounds comparisons of passwords, which are slow on purpose
}

// Accounts are the users and keys of one node. All methods may be called from any goroutine; those that change something
// return when it is safe.
type Accounts struct {
	table  access.Table
	pool   *hash.Pool
	scheme hash.Scheme
	known  *known

	writing sync.Mutex // held for a change, with its write to the table

	mu    sync.RWMutex
	users map[string]user
	keys  map[string]key
}

// user is what is kept of one.
type user struct {
	Tags   string `json:"tags"`
	Scheme string `json:"scheme"`
	Salt   string `json:"salt"`
	Stored string `json:"stored"`
}

// What the keys of the table begin with.
const (
	userPrefix = "u/"
	keyPrefix  = "k/"
)

// Open reads what is kept.
func Open(o Options) (*Accounts, error) {
	scheme, err := hash.Parse("argon2id")
	if err != nil {
		return nil, err
	}
	a := &Accounts{table: o.Table, pool: o.Pool, scheme: scheme, users: map[string]user{}, keys: map[string]key{}, known: newKnown()}
	err = o.Table.Each(func(at, value []byte) error {
		if name, ok := strings.CutPrefix(string(at), userPrefix); ok {
			return load(a.users, name, value)
		}
		if id, ok := strings.CutPrefix(string(at), keyPrefix); ok {
			return load(a.keys, id, value)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the operators: %w", err)
	}
	if s, ok := o.Table.(access.Shared); ok {
		s.OnChange(func(at []byte) { a.relearn(s, string(at)) })
	}
	return a, nil
}

// relearn takes over what another node has changed.
func (a *Accounts) relearn(t access.Shared, at string) {
	a.writing.Lock()
	defer a.writing.Unlock()
	value, ok := t.Get([]byte(at))
	a.mu.Lock()
	if name, isUser := strings.CutPrefix(at, userPrefix); isUser {
		renew(a.users, name, value, ok)
	} else if id, isKey := strings.CutPrefix(at, keyPrefix); isKey {
		renew(a.keys, id, value, ok)
	}
	a.mu.Unlock()
	a.known.forget()
}

// renew enters what is there now. What cannot be read lets nobody in.
func renew[T any](into map[string]T, name string, value []byte, ok bool) {
	if !ok || load(into, name, value) != nil {
		delete(into, name)
	}
}

func load[T any](into map[string]T, name string, value []byte) error {
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	into[name] = v
	return nil
}

// Users are all users by name.
func (a *Accounts) Users() []User {
	a.mu.RLock()
	list := make([]User, 0, len(a.users)+1)
	for name, u := range a.users {
		list = append(list, describe(name, u.Tags))
	}
	if _, ok := a.users[Default]; !ok {
		list = append(list, describe(Default, defaultTags))
	}
	a.mu.RUnlock()
	slices.SortFunc(list, func(x, y User) int { return strings.Compare(x.Name, y.Name) })
	return list
}

func describe(name, tags string) User {
	return User{Name: name, Tags: tags, Role: roleOf(name, tags).String()}
}

// User is one of them.
func (a *Accounts) User(name string) (User, bool) {
	u, ok := a.user(name)
	if !ok && name != Default {
		return User{}, false
	}
	if !ok {
		u.Tags = defaultTags
	}
	return describe(name, u.Tags), true
}

func (a *Accounts) user(name string) (user, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	u, ok := a.users[name]
	return u, ok
}

// Add makes a user. His role is what tags names: viewer, operator, admin or administrator; with any other he may look only.
func (a *Accounts) Add(ctx context.Context, name, password, tags string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if _, exists := a.User(name); exists {
		return ErrExists
	}
	return a.put(ctx, name, password, tags)
}

// SetPassword gives a user another password.
func (a *Accounts) SetPassword(ctx context.Context, name, password string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	u, exists := a.User(name)
	if !exists {
		return ErrNone
	}
	return a.put(ctx, name, password, u.Tags)
}

// SetTags gives a user another role, as Add does.
func (a *Accounts) SetTags(name, tags string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	u, exists := a.user(name)
	switch {
	case name == Default && roleOf("", tags) != Admin:
		return ErrDefault
	case name == Default && !exists:
		return nil // he has no record as long as his password is the first one
	case !exists:
		return ErrNone
	}
	u.Tags = tags
	return a.save(name, u)
}

// Delete deletes a user.
func (a *Accounts) Delete(name string) error {
	if name == Default {
		return ErrDefault
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if _, exists := a.user(name); !exists {
		return ErrNone
	}
	if err := a.table.Delete([]byte(userPrefix + name)); err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.users, name)
	a.mu.Unlock()
	a.known.forget()
	return nil
}

func (a *Accounts) put(ctx context.Context, name, password, tags string) error {
	if name == "" || password == "" || strings.ContainsRune(name, ':') {
		return errNameless // HTTP Basic ends a name at a colon
	}
	stored, salt, err := a.pool.Store(ctx, a.scheme, []byte(password))
	if err != nil {
		return err
	}
	return a.save(name, user{Tags: tags, Scheme: a.scheme.String(), Salt: salt, Stored: stored})
}

func (a *Accounts) save(name string, u user) error {
	value, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := a.table.Put([]byte(userPrefix+name), value); err != nil {
		return err
	}
	a.mu.Lock()
	a.users[name] = u
	a.mu.Unlock()
	a.known.forget()
	return nil
}

// Check says who gives these credentials: a user and his password, or the identifier of a key and its secret. here tells
// that the request was made on the node's own machine. The error is ErrDenied, ErrShipped, or that it could not be found
// out. A name that is not known takes as long as one that is.
func (a *Accounts) Check(ctx context.Context, name, password string, here bool) (Who, error) {
	if who, ok := a.checkKey(name, password); ok {
		return who, nil
	}
	mark, generation := a.known.mark(name, password)
	if who, ok := a.known.get(mark); ok {
		return who, nil
	}
	u, exists := a.user(name)
	if !exists && name == Default {
		switch {
		case subtle.ConstantTimeCompare([]byte(password), []byte(defaultPassword)) == 0:
			return Who{}, ErrDenied
		case !here:
			return Who{}, ErrShipped
		}
		return Who{Name: Default, Role: Admin}, nil
	}
	if !exists {
		_, _, err := a.pool.Store(ctx, a.scheme, []byte(password)) // for the time it takes
		return Who{}, errors.Join(ErrDenied, err)
	}
	scheme, err := hash.Parse(u.Scheme)
	if err != nil {
		return Who{}, err
	}
	ok, err := a.pool.Check(ctx, scheme, u.Stored, u.Salt, []byte(password))
	switch {
	case err != nil:
		return Who{}, err
	case !ok:
		return Who{}, ErrDenied
	}
	who := Who{Name: name, Role: roleOf(name, u.Tags)}
	a.known.put(mark, generation, who)
	return who, nil
}

// Knows tells, without the time that a comparison takes, that credentials are good: those of a key, or such as were found
// good before. It is for requests that would have to wait because others have guessed.
func (a *Accounts) Knows(name, password string) (Who, bool) {
	if who, ok := a.checkKey(name, password); ok {
		return who, true
	}
	mark, _ := a.known.mark(name, password)
	return a.known.get(mark)
}

// Has tells whether there is a user or a key of that name.
func (a *Accounts) Has(name string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, user := a.users[name]
	_, key := a.keys[name]
	return user || key || name == Default
}

// Change gives a user another password if he knows the one he has.
func (a *Accounts) Change(ctx context.Context, name, from, to string) error {
	if _, exists := a.User(name); !exists {
		return ErrNone
	}
	if _, err := a.Check(ctx, name, from, true); err != nil {
		return err
	}
	return a.SetPassword(ctx, name, to)
}

// now can be another time in tests.
var now = time.Now
