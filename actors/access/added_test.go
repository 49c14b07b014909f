package access

import (
	"context"
	"errors"
	"testing"

	"emqttd/actors/access/acl"
)

// keeper lets one user in and decides about one topic.
type keeper struct{ fake }

func newKeeper(name, user string) *keeper {
	return &keeper{fake{name, func(_ context.Context, c *Credentials) (Result, error) {
		if c.Username == user {
			return Result{Verdict: Allow}, nil
		}
		return Result{}, nil
	}}}
}

func (*keeper) Authorize(_ context.Context, _ *Credentials, _ acl.Action, topic string) (Verdict, error) {
	if topic == "shut" {
		return Deny, nil
	}
	return Ignore, nil
}

func TestAModuleThatIsAddedDecidesUntilItIsRemoved(t *testing.T) {
	c := NewChain(Options{Modules: []Module{says("last", Deny)}, NoMatchAllow: true, CacheSize: 8})
	early, _, _ := c.Admit(t.Context(), &Credentials{ClientID: "c"})
	if early != nil {
		t.Fatal("the chain lets anybody in")
	}
	changes := 0
	c.OnChange(func(s Selector) {
		if s == (Selector{}) {
			changes++
		}
	})
	a, err := c.Add(newKeeper("own", "ann"), GuardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Add(says("own", Allow), GuardOptions{}); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one of its name: %v", err)
	}
	ann := admit(t, c, Credentials{ClientID: "c", Username: "ann", Peer: "192.0.2.1"})
	if ann.Module() != "own" || ann.MayPublish("shut") || !ann.MayPublish("open") {
		t.Errorf("module %s, shut %t, open %t", ann.Module(), ann.MayPublish("shut"), ann.MayPublish("open"))
	}
	a.Remove()
	a.Remove()
	if changes != 2 {
		t.Errorf("%d changes were announced", changes)
	}
	if !ann.MayPublish("shut") {
		t.Error("a decision of a module that is gone is kept")
	}
	if !ann.Refresh(t.Context()) || ann.Module() != "own" {
		t.Error("a client cannot stay, or its module has no name")
	}
	if _, d, _ := c.Admit(t.Context(), &Credentials{Username: "ann"}); d != BadCredential {
		t.Errorf("without the module: %v", d)
	}
}

func TestAModuleJudgesClientsThatWereThereBefore(t *testing.T) {
	c := New(true, true, nil)
	id := admit(t, c, Credentials{ClientID: "c", Username: "u", Peer: "192.0.2.1"})
	if !id.MayPublish("shut") {
		t.Fatal("somebody denies")
	}
	r := &ruled{fake: *says("rows", Ignore)}
	r.set(`{deny, {ipaddr, "192.0.2.1"}, publish, ["ruled"]}.`, nil)
	for _, m := range []Module{newKeeper("own", ""), r} {
		if _, err := c.Add(m, GuardOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if !id.Outdated() || !id.Refresh(t.Context()) {
		t.Error("it is not judged anew")
	}
	if id.MayPublish("shut") || id.MayPublish("ruled") || !id.MayPublish("open") || !c.Judges() {
		t.Error("the modules do not decide")
	}
}

func TestASuspendedModuleDenies(t *testing.T) {
	c := New(true, true, nil)
	a, err := c.Add(newKeeper("own", "ann"), GuardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ann := admit(t, c, Credentials{ClientID: "c", Username: "ann"})
	a.Suspend()
	if _, d, _ := c.Admit(t.Context(), &Credentials{ClientID: "x"}); d != Unavailable {
		t.Errorf("anybody: %v", d)
	}
	if ann.MayPublish("open") {
		t.Error("topics are open")
	}
	back, err := c.Add(newKeeper("own", "ann"), GuardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.Remove() // its place is taken
	if !ann.MayPublish("open") || ann.MayPublish("shut") {
		t.Error("it is not back")
	}
	back.Suspend()
	back.Remove()
	admit(t, c, Credentials{ClientID: "x"})
	if !ann.MayPublish("shut") {
		t.Error("it is still there")
	}
}

func TestAPanicOfAGuardedModuleIsToldAndDenies(t *testing.T) {
	told := make(chan any, 1)
	m := &fake{"m", func(context.Context, *Credentials) (Result, error) { panic("boom") }}
	c := NewChain(Options{AllowAnonymous: true})
	if _, err := c.Add(m, GuardOptions{OnPanic: func(p any) { told <- p }}); err != nil {
		t.Fatal(err)
	}
	if _, d, _ := c.Admit(t.Context(), &Credentials{ClientID: "x"}); d != Unavailable {
		t.Errorf("got %v", d)
	}
	if p := <-told; p != "boom" {
		t.Errorf("told %v", p)
	}
}
