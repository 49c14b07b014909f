package access

import (
	"context"
	"errors"
	"sync"
	"testing"

	"emqttd/actors/access/acl"
	"emqttd/actors/access/hash"
)

// fake is a module that answers what it is told to.
type fake struct {
	name         string
	authenticate func(ctx context.Context, c *Credentials) (Result, error)
}

func (f *fake) Name() string { return f.name }

func (f *fake) Authenticate(ctx context.Context, c *Credentials) (Result, error) {
	return f.authenticate(ctx, c)
}

func says(name string, v Verdict) *fake {
	return &fake{name, func(context.Context, *Credentials) (Result, error) { return Result{Verdict: v}, nil }}
}

var errDown = errors.New("down")

func fails(name string) *fake {
	return &fake{name, func(context.Context, *Credentials) (Result, error) { return Result{}, errDown }}
}

// ruled is a module with rules that may change.
type ruled struct {
	fake
	mu    sync.Mutex
	text  string
	err   error
	asked int
}

func (r *ruled) set(text string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text, r.err = text, err
}

func (r *ruled) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *ruled) Rules(context.Context, *Credentials) ([]acl.Rule, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return nil, r.err
	}
	return acl.Parse(r.name, []byte(r.text))
}

// judging is a module that decides about topics.
type judging struct {
	fake
	judge func(ctx context.Context, a acl.Action, topic string) (Verdict, error)
}

func (j *judging) Authorize(ctx context.Context, _ *Credentials, a acl.Action, topic string) (Verdict, error) {
	return j.judge(ctx, a, topic)
}

// reviewing is a module whose users may go.
type reviewing struct {
	fake
	review func() (Result, error)
}

func (r *reviewing) Review(context.Context, *Credentials) (Result, error) { return r.review() }

func admit(t testing.TB, c *Chain, cred Credentials) *Identity {
	t.Helper()
	id, d, why := c.Admit(context.Background(), &cred)
	if d != Accept {
		t.Fatalf("%s: %s", d, why)
	}
	return id
}

func rules(t testing.TB, text string) []acl.Rule {
	t.Helper()
	r, err := acl.Parse("acl.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// withRules is etc/acl.conf with a text.
func withRules(t testing.TB, text string) *ACLFile {
	t.Helper()
	r := rules(t, text)
	f := &ACLFile{}
	f.now.Store(&r)
	return f
}

func accounts(t testing.TB, kind AccountKind, scheme string, names ...string) *Accounts {
	t.Helper()
	s, err := hash.Parse(scheme)
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenAccounts(kind, NoTable{}, hash.NewPool(1, 100), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := a.Add(context.Background(), n, []byte("public"), false); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// memory is a Table.
type memory struct {
	mu  sync.Mutex
	all map[string]string
	err error
}

func (m *memory) Put(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.all == nil {
		m.all = map[string]string{}
	}
	m.all[string(key)] = string(value)
	return nil
}

func (m *memory) Delete(key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, string(key))
	return m.err
}

func (m *memory) Each(f func(key, value []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.all {
		if err := f([]byte(k), []byte(v)); err != nil {
			return err
		}
	}
	return nil
}

func bans(t testing.TB) *Bans {
	t.Helper()
	b, err := OpenBans(NoTable{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
