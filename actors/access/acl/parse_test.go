package acl

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestTheFilesOfEMQAndOursAreRead(t *testing.T) {
	for file, want := range map[string]int{
		"../../../tests/fixtures/acl-v2.0.conf": 4, "../../../tests/fixtures/acl-v2.3.11.conf": 3, "../../../etc/acl.conf": 3,
	} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse("acl.conf", src)
		if err != nil || len(r) != want {
			t.Errorf("%s: %d rules, %v", file, len(r), err)
			continue
		}
		first := r[0]
		if first.String() != `{allow, {user, "dashboard"}, subscribe, ["$SYS/#"]}.` || !strings.HasPrefix(first.Origin, "acl.conf:") {
			t.Errorf("%s: %s at %s", file, first, first.Origin)
		}
	}
}

func TestTheFilesOfEMQMeanWhatTheyMeantThere(t *testing.T) {
	src, err := os.ReadFile("../../../tests/fixtures/acl-v2.0.conf")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse("acl.conf", src)
	if err != nil {
		t.Fatal(err)
	}
	dashboard, local, other := &Client{Username: "dashboard"}, &Client{Addr: netip.MustParseAddr("127.0.0.1")}, &Client{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, x := range []struct {
		client *Client
		action Action
		topic  string
		want   int
	}{
		{dashboard, Subscribe, "$SYS/#", 0},
		{dashboard, Subscribe, "$SYS/brokers", 0},
		{dashboard, Subscribe, "#", 2},
		{dashboard, Publish, "$SYS/x", 3},
		{local, Subscribe, "#", 1},
		{local, Subscribe, "$SYS/#", 1},
		{local, Publish, "$SYS/x", 1},
		{local, Subscribe, "a/+", 1},
		{other, Subscribe, "#", 2},
		{other, Subscribe, "+/#", 2},
		{other, Subscribe, "$SYS/#", 2},
		{other, Subscribe, "$SYS/brokers/+", 2},
		{other, Subscribe, "$SYS/+/x", 2},
		{other, Subscribe, "a/#", 3},
		{other, Subscribe, "+", 3},
		{other, Publish, "a", 3},
	} {
		for _, strict := range []bool{false, true} {
			if got := Judge(r, x.client, x.action, x.topic, strict); got != x.want {
				t.Errorf("%+v %s %s, strict %t: rule %d, want %d", *x.client, x.action, x.topic, strict, got, x.want)
			}
		}
	}
}

func TestAllFormsOfTermsAreRead(t *testing.T) {
	r := rules(t, "\ufeff%% a comment\n"+
		"{allow,{user,<<\"b\">>},publish,[<<\"t\"/utf8>> , \"\\x41\\x{fc}\\\"\\s\"]} . % behind\n"+
		"{'deny',\n  {client, all},\n 'subscribe', [\"#\"]}.")
	if len(r) != 2 {
		t.Fatalf("%d rules", len(r))
	}
	if got := r[0].String(); got != `{allow, {user, "b"}, publish, ["t", "Aü\" "]}.` || r[0].Origin != "acl.conf:2" {
		t.Errorf("got %s at %s", got, r[0].Origin)
	}
	if got := r[1].String(); got != `{deny, all, subscribe, ["#"]}.` || r[1].Origin != "acl.conf:3" {
		t.Errorf("got %s at %s", got, r[1].Origin)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	tests := []struct{ text, want string }{
		{"allow", `1:1: expected a rule such as {allow, all}.; got allow`},
		{"{alow, all}.", `1:2: expected allow or deny; got alow`},
		{"{allow all}.", `1:8: expected a comma; got all`},
		{"{allow, all}", `1:13: expected a period at the end of the rule; got the end of the file`},
		{"{allow, all}\n{deny, all}.", `2:1: expected a period at the end of the rule; got "{"`},
		{"{allow, everybody}.", `1:9: expected ` + whoForms + `; got everybody`},
		{`{allow, {user, "x"}}.`, `1:9: expected all, or an action and topics behind the clients, as in {allow, {user, "x"}, pubsub, ["#"]}.`},
		{`{allow, {username, "x"}, pubsub, ["#"]}.`, `1:10: expected user, client, ipaddr, 'and' or 'or'; got username`},
		{`{allow, {user, x}, pubsub, ["#"]}.`, `1:16: expected a user name in double quotes, or all; got x`},
		{`{allow, {client, 7}, pubsub, ["#"]}.`, `1:18: expected a client identifier in double quotes, or all; got 7`},
		{`{allow, {ipaddr, all}, pubsub, ["#"]}.`, `1:18: expected an IP address or CIDR in double quotes; got all`},
		{`{allow, {ipaddr, "10.0.0/8"}, pubsub, ["#"]}.`, `1:18: expected an IP address or a CIDR such as "10.0.0.0/8"; got "10.0.0/8"`},
		{`{allow, {'and', {user, "x"}}, pubsub, ["#"]}.`, `1:17: expected a list of clients such as [{user, "x"}]; got "{"`},
		{`{allow, all, read, ["#"]}.`, `1:14: expected publish, subscribe or pubsub; got read`},
		{`{allow, all, publish, "#"}.`, `1:23: expected a list of topics such as ["a/#"]; got the string "#"`},
		{`{allow, all, publish, []}.`, `1:24: expected a topic in double quotes, or {eq, "topic"}; got "]"`},
		{`{allow, all, publish, ["a/#/b"]}.`, `1:24: "a/#/b" is not a topic filter`},
		{`{allow, all, publish, [""]}.`, `1:24: "" is not a topic filter`},
		{`{allow, all, publish, [{re, "a"}]}.`, `1:25: expected eq; got re`},
		{`{allow, all, publish, ["a" "b"]}.`, `1:28: expected a comma or ]; got the string "b"`},
		{`{allow, all, publish, ["a]}.`, `1:24: the closing " is missing on this line`},
		{"{allow, all, publish, [\"a\nb\"]}.", `1:24: the closing " is missing on this line`},
		{`{allow, all, publish, ["ü", "\q"]}.`, `1:30: expected one of \n`},
		{`{allow, all, publish, [<<1>>]}.`, `1:24: expected a string in <<"…">>`},
		{`{allow, all, publish, [<<"a">]}.`, `1:29: expected >> to close the binary`},
		{"{allow, {user, \"a\\x00\"}, publish, [\"a\"]}.", `1:16: the text is not UTF-8, or has a NUL in it`},
		{"{allow, {user, \"\xff\"}, publish, [\"a\"]}.", `1:16: the text is not UTF-8, or has a NUL in it`},
		{"{allow, All}.", `1:9: unexpected character 'A'`},
		{"{allow, all, publish, [\"a\"], x}.", `1:28: expected } to close the rule; got ","`},
		{"{allow, {'or', [" + strings.Repeat("{'or', [", 40), `expected all, {user`},
	}
	for _, x := range tests {
		_, err := Parse("f", []byte(x.text))
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%s:\n got %v\nwant %s", x.text, err, x.want)
		}
	}
}

func TestAllMistakesAreReported(t *testing.T) {
	r, err := Parse("f", []byte("{alow, all}.\n{allow, all}.\n{deny, al}.\n"))
	var first *Mistake
	if !errors.As(err, &first) || first.Line != 1 || r != nil || !strings.Contains(err.Error(), "f:3:8: ") {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := Parse("f", []byte(strings.Repeat("x.", 1000))); strings.Count(err.Error(), "\n") >= maxMistakes {
		t.Errorf("endless: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"../../../tests/fixtures/acl-v2.0.conf", "../../../etc/acl.conf"} {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte(`{allow, {'and', [{ipaddr, "::1/64"}, {'or', [{client, <<"x">>}]}]}, pubsub, [{eq, "\x{41}"}]}.`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := Parse("f", src)
		if (err != nil) && r != nil {
			t.Fatal("rules in spite of mistakes")
		}
		for i := range r {
			text := r[i].String()
			again, err := Parse("f", []byte(text))
			if err != nil || len(again) != 1 || again[0].String() != text {
				t.Fatalf("%s: %v, %v", text, again, err)
			}
		}
	})
}
