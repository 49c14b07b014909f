package access

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/access/acl"
	"emqttd/protocol/topic"
)

func TestRulesAreJudgedInTheirOrder(t *testing.T) {
	token := &fake{"token", func(context.Context, *Credentials) (Result, error) {
		return Result{Verdict: Allow, HasRules: true, Rules: rules(t, `{allow, all, pubsub, ["token"]}.`)}, nil
	}}
	rows := &ruled{fake: *says("rows", Ignore), text: `{deny, all, pubsub, ["token"]}. {allow, all, pubsub, ["rows"]}. {deny, all, pubsub, ["rows/none"]}.`}
	judge := &judging{*says("http", Ignore), func(_ context.Context, _ acl.Action, topic string) (Verdict, error) {
		switch topic {
		case "rows", "http":
			return Allow, nil
		case "http/none":
			return Deny, nil
		case "broken":
			return Ignore, errDown
		}
		return Ignore, nil
	}}
	c := NewChain(Options{
		Modules: []Module{rows, Guard(judge, GuardOptions{}), token}, NoMatchAllow: true,
		ACL: withRules(t, `{deny, all, pubsub, ["http", "token", "file/none"]}.`),
	})
	id := admit(t, c, Credentials{ClientID: "c"})
	want := map[string]string{
		"token": "true acl.conf:1", "rows": "true rows:1", "rows/none": "false rows:1", "http": "true http", "http/none": "false http",
		"broken": "false http cannot answer", "file/none": "false acl.conf:1", "other": "true acl_nomatch",
	}
	var topics []string
	for name := range want {
		topics = append(topics, name)
		for range 2 { // the second time from the cache
			allow := want[name][:4] == "true"
			if id.MayPublish(topic.Name(name)) != allow || id.MaySubscribe(topic.Filter(name)) != allow {
				t.Errorf("%s is not judged as it should be", name)
			}
		}
	}
	r := c.Test(context.Background(), &Credentials{ClientID: "c"}, topics, []string{"$share/g/token", "$queue/http/none", "$local/rows", "a/#/b"})
	for i, x := range r.Topics[:len(topics)] {
		if got := fmt.Sprint(x.Allow, " ", x.Why); got != want[topics[i]] {
			t.Errorf("%s: %s, want %s", x.Topic, got, want[x.Topic])
		}
	}
	shared := r.Topics[len(topics):]
	if !shared[0].Allow || shared[1].Allow || !shared[2].Allow || shared[3].Err == nil {
		t.Errorf("prefixes: %+v", shared)
	}
	if r.Decision != Accept || r.Why != "token" || len(r.Modules) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestRulesOfModulesAreAskedForOncePerTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &ruled{fake: *says("rows", Allow), text: `{allow, all, pubsub, ["a"]}.`}
		c := NewChain(Options{Modules: []Module{rows}, CacheTTL: time.Minute, CacheSize: 4})
		id := admit(t, c, Credentials{})
		if rows.times() != 0 {
			t.Error("they are asked for before they are needed")
		}
		for range 3 {
			if !id.MayPublish("a") || id.MayPublish("b") {
				t.Error("wrong")
			}
		}
		if n := rows.times(); n != 1 {
			t.Errorf("asked for %d times", n)
		}
		rows.set(`{allow, all, pubsub, ["b"]}.`, nil)
		time.Sleep(time.Minute + time.Second)
		if id.MayPublish("a") || !id.MayPublish("b") {
			t.Error("the rules before are obeyed for longer than they may be kept")
		}
		time.Sleep(time.Minute + time.Second)
		rows.set("", errDown)
		for range 2 { // the first answer is not kept
			if id.MayPublish("b") {
				t.Error("rules that cannot be read allow")
			}
		}
		rows.set(`{allow, all, pubsub, ["b"]}.`, nil)
		if !id.MayPublish("b") {
			t.Error("a denial for want of an answer is kept")
		}
	})
}

func TestARefreshForgetsWhatWasKept(t *testing.T) {
	rows := &ruled{fake: *says("rows", Allow), text: `{allow, all, pubsub, ["a"]}.`}
	c := NewChain(Options{Modules: []Module{rows}, CacheSize: 4})
	var told []Selector
	c.OnChange(func(s Selector) { told = append(told, s) })
	id := admit(t, c, Credentials{Username: "u"})
	if !id.MayPublish("a") {
		t.Error("a is not allowed")
	}
	rows.set(`{deny, all}.`, nil)
	if !id.MayPublish("a") {
		t.Error("the cache has forgotten")
	}
	c.Announce(Selector{Username: "u"})
	if len(told) != 1 || !id.Is(told[0]) {
		t.Fatalf("told %v", told)
	}
	if !id.Refresh(context.Background()) || id.MayPublish("a") {
		t.Error("the change is not seen")
	}
}

func TestAChangeForEverybodyEmptiesTheCache(t *testing.T) {
	c := NewChain(Options{AllowAnonymous: true, ACL: withRules(t, `{allow, all, pubsub, ["a"]}.`), CacheSize: 4})
	id := admit(t, c, Credentials{})
	if !id.MayPublish("a") {
		t.Error("a is not allowed")
	}
	r := rules(t, `{deny, all}.`)
	c.o.ACL.now.Store(&r)
	c.Announce(Selector{})
	if id.MayPublish("a") {
		t.Error("the cache decides")
	}
}

func TestADecisionUnderWayDuringAChangeIsNotKept(t *testing.T) {
	asked, answer := make(chan bool), make(chan Verdict)
	m := &judging{*says("http", Allow), func(context.Context, acl.Action, string) (Verdict, error) {
		asked <- true
		return <-answer, nil
	}}
	c := NewChain(Options{Modules: []Module{m}, CacheSize: 4})
	id := admit(t, c, Credentials{})
	may := make(chan bool)
	publish := func() { may <- id.MayPublish("a") }
	go publish()
	<-asked
	if !id.Refresh(context.Background()) {
		t.Error("it may not stay")
	}
	answer <- Allow
	<-may
	go publish()
	<-asked // again
	answer <- Deny
	if <-may {
		t.Error("what was decided before the change is obeyed")
	}
}

func TestAChangeWhileAClientIsAdmittedIsNotMissed(t *testing.T) {
	var c *Chain
	m := &fake{"m", func(_ context.Context, cred *Credentials) (Result, error) {
		if cred.ClientID == "late" {
			c.Announce(Selector{Username: "u"}) // the user is deleted now
		}
		return Result{Verdict: Allow}, nil
	}}
	c = NewChain(Options{Modules: []Module{m}})
	late, early := admit(t, c, Credentials{ClientID: "late"}), admit(t, c, Credentials{})
	if !late.Outdated() || early.Outdated() {
		t.Error("it is missed, or seen where there is none")
	}
	if !late.Refresh(context.Background()) || late.Outdated() {
		t.Error("a refresh does not make up for it")
	}
	c.Announce(Selector{ClientID: "x"})
	if !early.Outdated() {
		t.Error("a later change is missed")
	}
	if id, _, _ := c.Vouched(&Credentials{}); id.Outdated() {
		t.Error("who proved itself otherwise begins outdated")
	}
}

func TestRefreshTellsWhoMayNotStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer Result
		var err error
		m := &reviewing{fake{"m", func(context.Context, *Credentials) (Result, error) {
			return Result{Verdict: Allow, Expires: time.Now().Add(time.Hour)}, nil
		}}, func() (Result, error) { return answer, err }}
		bans, e := OpenBans(NoTable{})
		if e != nil {
			t.Fatal(e)
		}
		c := NewChain(Options{Modules: []Module{Guard(m, GuardOptions{})}, Bans: bans})
		id := admit(t, c, Credentials{ClientID: "c", Username: "u", Peer: "192.0.2.1"})
		for _, x := range []struct {
			name   string
			answer Result
			err    error
			stays  bool
		}{
			{"ignored", Result{}, nil, true},
			{"no answer", Result{}, errDown, true},
			{"super-user now", Result{Verdict: Allow, Superuser: true, Expires: time.Now().Add(time.Hour)}, nil, true},
			{"gone", Result{Verdict: Deny}, nil, false},
		} {
			answer, err = x.answer, x.err
			if got := id.Refresh(context.Background()); got != x.stays {
				t.Errorf("%s: %t", x.name, got)
			}
		}
		answer = Result{}
		if !id.Superuser() {
			t.Error("it is no super-user")
		}
		for _, b := range []Ban{{Kind: BanClient, Who: "c"}, {Kind: BanUser, Who: "u"}, {Kind: BanAddress, Who: "192.0.2.0/24"}} {
			if err := bans.Add(b); err != nil {
				t.Fatal(err)
			}
			if id.Refresh(context.Background()) {
				t.Errorf("banned by %s, it may stay", b.Kind)
			}
			if _, err := bans.Remove(b.Kind, b.Who); err != nil {
				t.Fatal(err)
			}
		}
		if !id.Refresh(context.Background()) || !id.MayPublish("a") {
			t.Error("it may not stay although no ban is left")
		}
		time.Sleep(time.Hour)
		if id.MayPublish("a") || id.MaySubscribe("a") || id.Refresh(context.Background()) {
			t.Error("it may go on after its token has expired")
		}
	})
}

func TestWithoutIdentityTheSameRulesDecide(t *testing.T) {
	c := NewChain(Options{ACL: withRules(t, `{allow, {user, "u"}, publish, ["a"]}.`)})
	cred := &Credentials{Username: "u"}
	if !c.MayPublish(cred, "a") || c.MayPublish(cred, "b") || c.MaySubscribe(cred, "a") {
		t.Error("wrong")
	}
}

func TestTheCachedCheckDoesNotAllocate(t *testing.T) {
	c := NewChain(Options{AllowAnonymous: true, ACL: withRules(t, `{allow, all, pubsub, ["a/%c/#"]}.`), CacheSize: 8})
	id := admit(t, c, Credentials{ClientID: "c"})
	if n := testing.AllocsPerRun(100, func() {
		if !id.MayPublish("a/c/b") || !id.MaySubscribe("a/c/+") || id.MayPublish("b") {
			t.Error("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheCacheKeepsWhatItIsToldWithinItsBounds(t *testing.T) {
	for _, limit := range []int{1, 4, 8, 30, 100} {
		var c cache
		for i := range 1000 {
			name := fmt.Sprint("topic/", i%150)
			c.put(acl.Publish, name, i%2 == 0, 10, limit)
			if allow, ok := c.get(acl.Publish, name, 9); !ok || allow != (i%2 == 0) {
				t.Fatalf("limit %d: %s is not there", limit, name)
			}
			if _, ok := c.get(acl.Subscribe, name, 9); ok {
				t.Fatalf("limit %d: %s is there for another action", limit, name)
			}
			if _, ok := c.get(acl.Publish, name, 10); ok {
				t.Fatalf("limit %d: %s is there for too long", limit, name)
			}
		}
		if n := len(c.entries); n >= limit+ways {
			t.Errorf("limit %d: %d entries", limit, n)
		}
	}
}

func TestManyGoroutinesMayUseAnIdentity(t *testing.T) {
	rows := &ruled{fake: *says("rows", Allow), text: `{allow, all, pubsub, ["a/+"]}.`}
	c := NewChain(Options{Modules: []Module{rows}, CacheSize: 8})
	id := admit(t, c, Credentials{})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 200 {
				if !id.MayPublish(topic.Name(fmt.Sprint("a/", i%20))) || g == 0 && !id.Refresh(context.Background()) {
					t.Error("wrong")
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkMayPublish(b *testing.B) {
	run := func(name string, o Options, topics int) {
		o.AllowAnonymous = true
		id := admit(b, NewChain(o), Credentials{ClientID: "device1", Username: "user", Peer: "192.0.2.1"})
		var names []topic.Name
		for i := range topics {
			names = append(names, topic.Name(fmt.Sprintf("sensor/device1/channel%d/temperature", i)))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; !id.MayPublish(names[i%len(names)]) {
					b.Fatal("denied")
				}
			}
		})
	}
	shipped := withRules(b, `{allow, {user, "dashboard"}, subscribe, ["$SYS/#"]}. {allow, {ipaddr, "127.0.0.1"}, pubsub, ["$SYS/#", "#"]}.
		{deny, all, subscribe, ["$SYS/#", {eq, "#"}]}. {allow, all}.`)
	run("no rules", Options{NoMatchAllow: true}, 1)
	for _, n := range []int{1, 4, 32} {
		run(fmt.Sprintf("cached/topics=%d", n), Options{ACL: shipped, CacheSize: 32}, n)
	}
	run("uncached", Options{ACL: shipped}, 1)
}

func BenchmarkAdmit(b *testing.B) {
	for _, scheme := range []string{"none", "salt,sha256"} {
		o := Options{AllowAnonymous: true, ACL: withRules(b, `{allow, all}.`), CacheSize: 32}
		if scheme != "none" {
			o.Modules = []Module{accounts(b, UserNames, scheme, "user")}
		}
		c := NewChain(o)
		b.Run("scheme="+scheme, func(b *testing.B) {
			b.ReportAllocs()
			cred := &Credentials{ClientID: "c", Username: "user", Password: []byte("public"), Peer: "192.0.2.1"}
			for b.Loop() {
				if _, d, _ := c.Admit(context.Background(), cred); d != Accept {
					b.Fatal(d)
				}
			}
		})
	}
}
