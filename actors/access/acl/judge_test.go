package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol/topic"
)

func rules(t testing.TB, text string) []Rule {
	t.Helper()
	r, err := Parse("acl.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filters are all with up to n levels of the words.
func filters(n int, words ...string) []string {
	all, last := []string{"#"}, []string{""}
	for range n {
		var next []string
		for _, f := range last {
			for _, w := range words {
				g := w
				if f != "" {
					g = f + "/" + w
				}
				next = append(next, g)
				all = append(all, g, g+"/#")
			}
		}
		last = next
	}
	return all
}

func names(n int, words ...string) []topic.Name {
	var all []topic.Name
	for _, f := range filters(n, words...) {
		if !strings.HasSuffix(f, "#") {
			all = append(all, topic.Name(f))
		}
	}
	return all
}

// TestCoversAndOverlapsAreWhatEveryTopicSays asks all topics: z and $z stand for
// all words that no filter has, and one level more than filters have for any depth.
func TestCoversAndOverlapsAreWhatEveryTopicSays(t *testing.T) {
	fs, ns := filters(3, "a", "+", "$a"), names(4, "a", "z", "$a", "$z")
	matched := map[string][]bool{}
	for _, f := range fs {
		for _, n := range ns {
			matched[f] = append(matched[f], topic.Match(topic.Filter(f), n))
		}
	}
	for _, f := range fs {
		for _, g := range fs {
			covers, overlaps := true, false
			for i, inG := range matched[g] {
				inF := matched[f][i]
				covers = covers && (!inG || inF)
				overlaps = overlaps || inG && inF
			}
			if got := Covers(f, g); got != covers {
				t.Errorf("Covers(%q, %q) = %t", f, g, got)
			}
			if got := Overlaps(f, g); got != overlaps {
				t.Errorf("Overlaps(%q, %q) = %t", f, g, got)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name, rules string
		client      Client
		action      Action
		topic       string
		want        string // the rule's number from 0, -1 for none; "strict" differs behind a slash
	}{
		{"the first that matches decides", `{deny, all, publish, ["a"]}. {allow, all}.`, Client{}, Publish, "a", "0"},
		{"another topic goes on", `{deny, all, publish, ["a"]}. {allow, all}.`, Client{}, Publish, "b", "1"},
		{"another action goes on", `{deny, all, subscribe, ["a"]}. {allow, all}.`, Client{}, Publish, "a", "1"},
		{"pubsub is both", `{deny, all, pubsub, ["a"]}.`, Client{}, Publish, "a", "0"},
		{"none decides", `{deny, all, pubsub, ["a"]}.`, Client{}, Publish, "b", "-1"},
		{"a wildcard of a rule reaches $", `{deny, all, publish, ["#"]}.`, Client{}, Publish, "$SYS/x", "0"},
		{"so does a single level", `{deny, all, publish, ["+/x"]}.`, Client{}, Publish, "$SYS/x", "0"},
		{"the parent of #", `{deny, all, publish, ["a/#"]}.`, Client{}, Publish, "a", "0"},

		{"user", `{allow, {user, "u"}, publish, ["a"]}.`, Client{Username: "u"}, Publish, "a", "0"},
		{"no user", `{allow, {user, ""}, publish, ["a"]}.`, Client{}, Publish, "a", "-1"},
		{"user all", `{allow, {user, all}, publish, ["a"]}.`, Client{}, Publish, "a", "0"},
		{"client", `{allow, {client, "c"}, publish, ["a"]}.`, Client{ClientID: "c"}, Publish, "a", "0"},
		{"another client", `{allow, {client, "c"}, publish, ["a"]}.`, Client{ClientID: "C"}, Publish, "a", "-1"},
		{"address", `{allow, {ipaddr, "127.0.0.1"}, publish, ["a"]}.`, Client{Addr: netip.MustParseAddr("127.0.0.1")}, Publish, "a", "0"},
		{"mapped address", `{allow, {ipaddr, "127.0.0.1"}, publish, ["a"]}.`, Client{Addr: netip.MustParseAddr("::ffff:127.0.0.1")}, Publish, "a", "0"},
		{"network", `{allow, {ipaddr, "10.1.2.3/8"}, publish, ["a"]}.`, Client{Addr: netip.MustParseAddr("10.9.9.9")}, Publish, "a", "0"},
		{"no address", `{allow, {ipaddr, "0.0.0.0/0"}, publish, ["a"]}.`, Client{}, Publish, "a", "-1"},
		{"IPv6", `{allow, {ipaddr, "fe80::/10"}, publish, ["a"]}.`, Client{Addr: netip.MustParseAddr("fe80::1")}, Publish, "a", "0"},
		{"and", `{allow, {'and', [{client, "c"}, {user, "u"}]}, publish, ["a"]}.`, Client{ClientID: "c"}, Publish, "a", "-1"},
		{"or", `{allow, {'or', [{client, "c"}, {user, "u"}]}, publish, ["a"]}.`, Client{ClientID: "c"}, Publish, "a", "0"},

		{"%c", `{allow, all, publish, ["a/%c/b"]}.`, Client{ClientID: "c"}, Publish, "a/c/b", "0"},
		{"%c of another", `{allow, all, publish, ["a/%c/b"]}.`, Client{ClientID: "c"}, Publish, "a/d/b", "-1"},
		{"%c inside of a word", `{allow, all, publish, ["a%c"]}.`, Client{ClientID: "c"}, Publish, "ac", "-1"},
		{"%u without a user stays", `{allow, all, publish, ["a/%u"]}.`, Client{ClientID: "c"}, Publish, "a/%u", "0"},
		{"a client named +", `{allow, all, publish, ["a/%c"]}.`, Client{ClientID: "+"}, Publish, "a/b", "-1"},
		{"a client named #", `{allow, all, pubsub, ["a/%c"]}.`, Client{ClientID: "#"}, Publish, "a/b/c", "-1"},
		{"a client with a slash", `{allow, all, publish, ["a/%c"]}.`, Client{ClientID: "b/c"}, Publish, "a/b/c", "-1"},
		{"a user named %c", `{allow, all, publish, ["a/%u"]}.`, Client{ClientID: "c", Username: "%c"}, Publish, "a/c", "-1"},
		{"a client named + subscribes", `{allow, all, subscribe, ["a/%c"]}.`, Client{ClientID: "+"}, Subscribe, "a/+", "-1"},
		{"a client named # subscribes", `{allow, all, subscribe, ["a/%c"]}.`, Client{ClientID: "#"}, Subscribe, "a/#", "-1"},

		{"a filter within", `{allow, all, subscribe, ["a/#"]}.`, Client{}, Subscribe, "a/+/b", "0"},
		{"a filter beyond", `{allow, all, subscribe, ["a/+"]}.`, Client{}, Subscribe, "a/#", "-1"},
		{"a filter beyond a topic", `{allow, all, subscribe, ["a/b"]}.`, Client{}, Subscribe, "a/+", "-1"},
		{"all filters", `{allow, all, subscribe, ["#"]}.`, Client{}, Subscribe, "#", "0"},
		{"all of $SYS", `{allow, all, subscribe, ["#"]}.`, Client{}, Subscribe, "$SYS/#", "0"},
		{"a filter that covers what is denied", `{deny, all, subscribe, ["a/b"]}.`, Client{}, Subscribe, "a/+", "0"},
		{"everything covers it", `{deny, all, subscribe, ["a/b/#"]}.`, Client{}, Subscribe, "#", "0"},
		{"it does not cover $SYS", `{deny, all, subscribe, ["$SYS/#"]}.`, Client{}, Subscribe, "#", "-1"},
		{"as EMQ matches", `{deny, all, subscribe, ["a/+"]}.`, Client{}, Subscribe, "a/#", "0"},
		{"a filter that touches", `{deny, all, subscribe, ["a/+/c"]}.`, Client{}, Subscribe, "+/b/#", "-1/0"},
		{"a filter beside", `{deny, all, subscribe, ["a/+/c"]}.`, Client{}, Subscribe, "b/+/c", "-1"},
		{"denied for itself", `{deny, all, subscribe, ["a/%c"]}.`, Client{ClientID: "c"}, Subscribe, "a/c", "0"},

		{"eq", `{deny, all, subscribe, [{eq, "#"}]}.`, Client{}, Subscribe, "#", "0"},
		{"eq is no match", `{deny, all, subscribe, [{eq, "#"}]}.`, Client{}, Subscribe, "a/#", "-1"},
		{"eq written otherwise", `{deny, all, subscribe, [{eq, "#"}]}.`, Client{}, Subscribe, "+/#", "0"},
		{"eq allows itself only", `{allow, all, subscribe, [{eq, "a/+"}]}.`, Client{}, Subscribe, "a/b", "-1"},
		{"eq allows itself", `{allow, all, subscribe, [{eq, "a/+"}]}.`, Client{}, Subscribe, "a/+", "0"},
		{"eq of a topic", `{deny, all, pubsub, [{eq, "a/b"}]}.`, Client{}, Publish, "a/b", "0"},
		{"eq of a topic that is covered", `{deny, all, subscribe, [{eq, "a/b"}]}.`, Client{}, Subscribe, "#", "0"},
		{"eq of %c is no variable", `{deny, all, publish, [{eq, "%c"}]}.`, Client{ClientID: "c"}, Publish, "c", "-1"},
		{"eq of a wildcard is no topic", `{allow, all, publish, [{eq, "#"}]}.`, Client{}, Publish, "a", "-1"},

		{"many levels", `{deny, all, publish, ["1/2/3/4/5/6/7/8/9/10/11/12/13/%c"]}.`, Client{ClientID: "c"}, Publish, "1/2/3/4/5/6/7/8/9/10/11/12/13/c", "0"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			want, strict, differs := strings.Cut(x.want, "/")
			if !differs {
				strict = want
			}
			r := rules(t, x.rules)
			if got := fmt.Sprint(Judge(r, &x.client, x.action, x.topic, false)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := fmt.Sprint(Judge(r, &x.client, x.action, x.topic, true)); got != strict {
				t.Errorf("strict: got %s, want %s", got, strict)
			}
		})
	}
}

func TestRowsOfBackEndsMayKeepTheirWildcardsFromDollar(t *testing.T) {
	p, err := NewPattern("#")
	if err != nil {
		t.Fatal(err)
	}
	with, without := []Rule{{Allow: true, Action: PubSub, Topics: []Pattern{p}}}, []Rule{{Allow: true, Action: PubSub, Topics: []Pattern{p.WithoutDollar()}}}
	for topic, want := range map[string]int{"$SYS/x": -1, "a": 0} {
		if Judge(with, &Client{}, Publish, topic, false) != 0 {
			t.Errorf("%s: the rule that reaches $ does not match", topic)
		}
		if got := Judge(without, &Client{}, Publish, topic, false); got != want {
			t.Errorf("%s: got %d", topic, got)
		}
	}
	if Judge(without, &Client{}, Subscribe, "$SYS/#", false) != -1 || Judge(without, &Client{}, Subscribe, "+/#", false) != 0 {
		t.Error("filters are judged otherwise than topics")
	}
	eq, err := NewPattern("eq #")
	if err != nil || eq.String() != `{eq, "#"}` {
		t.Errorf("%v, %v", eq, err)
	}
}

// TestWhatIsAllowedStrictlyHoldsNothingThatIsDenied: no topic that the filter
// matches is one that the rules would deny by itself.
func TestWhatIsAllowedStrictlyHoldsNothingThatIsDenied(t *testing.T) {
	all, topics := filters(3, "a", "b", "+", "$a", "%c"), names(4, "a", "b", "$a", "z")
	rapid.Check(t, func(rt *rapid.T) {
		var r []Rule
		for range rapid.IntRange(1, 4).Draw(rt, "rules") {
			p, err := NewPattern(rapid.SampledFrom(all).Draw(rt, "pattern"))
			if err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "mqtt") {
				p = p.WithoutDollar()
			}
			r = append(r, Rule{Allow: rapid.Bool().Draw(rt, "allow"), Action: Subscribe, Topics: []Pattern{p}})
		}
		f := rapid.SampledFrom(all).Draw(rt, "filter")
		c := &Client{ClientID: rapid.SampledFrom([]string{"a", "z", "+", "#", "a/b"}).Draw(rt, "client")}
		decided := Judge(r, c, Subscribe, f, true)
		if decided >= 0 && !r[decided].Allow {
			return
		}
		for _, n := range topics {
			if !topic.Match(topic.Filter(f), n) {
				continue
			}
			// A name is a filter without wildcards, so the rules may be asked about it.
			if i := Judge(r, c, Subscribe, string(n), false); i >= 0 && !r[i].Allow || i < 0 && decided >= 0 {
				rt.Fatalf("%v: %s is granted to %q by rule %d, and %s is judged by rule %d", r, f, c.ClientID, decided, n, i)
			}
		}
	})
}

func TestJudgingDoesNotAllocate(t *testing.T) {
	r := rules(t, `{deny, {user, "x"}, pubsub, ["a/%u/%c", {eq, "#"}]}. {allow, {ipaddr, "10.0.0.0/8"}, pubsub, ["a/%c/#"]}.`)
	c := &Client{ClientID: "c", Username: "u", Addr: netip.MustParseAddr("10.0.0.1")}
	if n := testing.AllocsPerRun(100, func() {
		if Judge(r, c, Publish, "a/c/b", true) != 1 || Judge(r, c, Subscribe, "a/c/+", true) != 1 {
			t.Error("not allowed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "{deny, {user, \"user%d\"}, pubsub, [\"plant/%d/#\"]}.\n", i, i)
	}
	text.WriteString(`{allow, all, pubsub, ["sensor/%c/#"]}.`)
	r := rules(b, text.String())
	c := &Client{ClientID: "device1", Username: "user"}
	for _, n := range []int{1, 101} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Judge(r[len(r)-n:], c, Publish, "sensor/device1/temperature", false)
			}
		})
	}
}

func TestActionsAndRulesAreWrittenAsTheyAreRead(t *testing.T) {
	texts := []string{
		`{allow, all}.`, `{deny, all, publish, ["#"]}.`, `{allow, {user, "a\"b"}, subscribe, ["$SYS/#", {eq, "#"}]}.`,
		`{allow, {'and', [{client, "c"}, {'or', [{ipaddr, "10.0.0.0/8"}, {ipaddr, "::1"}]}]}, pubsub, ["a/%u"]}.`,
	}
	r := rules(t, strings.Join(texts, "\n"))
	var got []string
	for _, x := range r {
		got = append(got, x.String())
	}
	if !slices.Equal(got, texts) {
		t.Errorf("got %q", got)
	}
}
