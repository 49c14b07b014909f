package operators

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"
)

// table keeps entries in memory.
type table map[string]string

func (t table) Put(key, value []byte) error { t[string(key)] = string(value); return nil }
func (t table) Delete(key []byte) error     { delete(t, string(key)); return nil }
func (t table) Each(f func(key, value []byte) error) error {
	for k, v := range maps.Clone(t) {
		if err := f([]byte(k), []byte(v)); err != nil {
			return err
		}
	}
	return nil
}

func open(t *testing.T, kept table) *Accounts {
	t.Helper()
	a, err := Open(Options{Table: kept})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func expect(t *testing.T, a *Accounts, name, password string, here bool, role Role, err error) {
	t.Helper()
	who, got := a.Check(context.Background(), name, password, here)
	if !errors.Is(got, err) || err == nil && (who.Name != name || who.Role != role) {
		t.Errorf("%s:%s is %+v, %v; want %v, %v", name, password, who, got, role, err)
	}
}

func do(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTheFirstPasswordWorksOnThisMachineUntilItIsChanged(t *testing.T) {
	ctx, kept := context.Background(), table{}
	a := open(t, kept)
	expect(t, a, "admin", "public", true, Admin, nil)
	expect(t, a, "admin", "public", false, 0, ErrShipped)
	expect(t, a, "admin", "Public", true, 0, ErrDenied)
	do(t, a.Change(ctx, "admin", "wrong", "s3cret"), ErrDenied)
	do(t, a.Change(ctx, "admin", "public", "s3cret"), nil)
	for _, x := range []*Accounts{a, open(t, kept)} {
		expect(t, x, "admin", "public", true, 0, ErrDenied)
		expect(t, x, "admin", "s3cret", false, Admin, nil)
	}
}

func TestTheFirstUserStaysAnAdministrator(t *testing.T) {
	a := open(t, table{})
	do(t, a.Delete("admin"), ErrDefault)
	do(t, a.SetTags("admin", "viewer"), ErrDefault)
	do(t, a.SetTags("admin", "administrator"), nil)
	do(t, a.Add(context.Background(), "admin", "x", ""), ErrExists)
	if u := a.Users(); len(u) != 1 || u[0] != (User{"admin", "administrator", "admin"}) {
		t.Errorf("%+v", u)
	}
}

func TestTagsGiveTheRole(t *testing.T) {
	ctx, kept := context.Background(), table{}
	a := open(t, kept)
	for tags, role := range map[string]Role{
		"viewer": Viewer, "operator": Operator, "admin": Admin, "administrator": Admin, "": Viewer, "the new one": Viewer,
	} {
		name := "user of " + tags
		do(t, a.Add(ctx, name, "pw", tags), nil)
		expect(t, a, name, "pw", false, role, nil)
		expect(t, open(t, kept), name, "pw", false, role, nil)
	}
	do(t, a.SetTags("user of viewer", "operator"), nil)
	expect(t, a, "user of viewer", "pw", false, Operator, nil)
	do(t, a.SetTags("nobody", "operator"), ErrNone)
}

func TestWhoIsDeletedIsForgottenAtOnce(t *testing.T) {
	ctx, kept := context.Background(), table{}
	a := open(t, kept)
	do(t, a.Add(ctx, "ann", "pw", "operator"), nil)
	do(t, a.Add(ctx, "ann", "pw", "operator"), ErrExists)
	expect(t, a, "ann", "pw", false, Operator, nil)
	expect(t, a, "ann", "pw", false, Operator, nil) // remembered
	do(t, a.SetPassword(ctx, "ann", "new"), nil)
	expect(t, a, "ann", "pw", false, 0, ErrDenied)
	expect(t, a, "ann", "new", false, Operator, nil)
	do(t, a.Delete("ann"), nil)
	do(t, a.Delete("ann"), ErrNone)
	do(t, a.SetPassword(ctx, "ann", "new"), ErrNone)
	do(t, a.Change(ctx, "ann", "new", "x"), ErrNone)
	expect(t, a, "ann", "new", false, 0, ErrDenied)
	if len(kept) != 0 {
		t.Errorf("%v is kept", kept)
	}
}

func TestAUserNeedsANameThatHTTPCanSay(t *testing.T) {
	a := open(t, table{})
	for _, name := range []string{"", "a:b"} {
		do(t, a.Add(context.Background(), name, "pw", ""), errNameless)
	}
	do(t, a.Add(context.Background(), "ann", "", ""), errNameless)
}

func TestAKeyIsGoodUntilItExpiresOrIsDeleted(t *testing.T) {
	kept := table{}
	a := open(t, kept)
	id, secret, err := a.NewKey(Operator, "for the backup", nil)
	do(t, err, nil)
	for _, x := range []*Accounts{a, open(t, kept)} {
		expect(t, x, id, secret, false, Operator, nil)
		expect(t, x, id, secret+"x", false, 0, ErrDenied)
		expect(t, x, id, "", false, 0, ErrDenied)
	}
	soon := time.Now().Add(time.Minute)
	brief, pass, err := a.NewKey(Viewer, "", &soon)
	do(t, err, nil)
	expect(t, a, brief, pass, false, Viewer, nil)
	now = func() time.Time { return soon }
	defer func() { now = time.Now }()
	expect(t, a, brief, pass, false, 0, ErrDenied)
	if keys := a.Keys(); len(keys) != 2 {
		t.Errorf("%+v", keys)
	}
	do(t, a.DeleteKey(id), nil)
	do(t, a.DeleteKey(id), ErrNone)
	expect(t, a, id, secret, false, 0, ErrDenied)
}

func TestDamagedRecordsAreReported(t *testing.T) {
	if _, err := Open(Options{Table: table{"u/x": "{"}}); err == nil {
		t.Error("nobody noticed")
	}
}

func TestRolesHaveNames(t *testing.T) {
	for _, r := range []Role{Viewer, Operator, Admin} {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%v %v", got, err)
		}
	}
	if _, err := ParseRole("none"); err == nil {
		t.Error("none is a role")
	}
}
