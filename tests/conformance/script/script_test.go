package script

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/tests/conformance/wire"
)

func parse(t *testing.T, text string) *Test {
	t.Helper()
	all, err := Parse([]File{
		{Name: "shared", Text: "* hello says hello\n  a connect\n  4: a ping\n  ! stay\n"},
		{Version: "5.0", Name: "f", Text: "[X-1] requirement\n- title\n" + text},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[0].Tests[0]
}

func TestStatementsAndTestsAreRead(t *testing.T) {
	all, err := Parse([]File{
		{Version: "5.0", Name: "f", Text: "// comment\n[X-1] the requirement\n= hello\n- another\n  a dial\n  4: a eof\n  ! drop ping\n\n[X-2] other\n? nobody can see it\n"},
		{Name: "shared", Text: "* hello says hello\n  a connect\n  4: a ping\n  5: a closed\n  ! stay\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Text != "the requirement" || all[1].Why != "nobody can see it" || len(all[0].Tests) != 2 {
		t.Fatalf("%+v", all)
	}
	first, second := all[0].Tests[0], all[0].Tests[1]
	if first.Name != "5.0/X-1 says hello" || len(first.Steps) != 2 || first.Steps[1].Text != "a closed" || first.Faults[0] != "stay" {
		t.Errorf("%+v", first)
	}
	if second.Name != "5.0/X-1 another" || len(second.Steps) != 1 || second.Faults[0] != "drop ping" {
		t.Errorf("%+v", second)
	}
}

func TestFilesThatSayNothingAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a statement without test and reason": "[X-1] requirement\n",
		"a statement with test and reason":    "[X-1] requirement\n? why\n- title\n  a dial\n",
		"a test before a statement":           "- title\n  a dial\n",
		"a step outside of a test":            "[X-1] requirement\n  a dial\n",
		"an exchange that is not shared":      "[X-1] requirement\n= nothing\n",
		"a statement twice":                   "[X-1] requirement\n? why\n[X-1] requirement\n? why\n",
		"a line of no kind":                   "[X-1] requirement\nwhat\n",
	} {
		if _, err := Parse([]File{{Version: "5.0", Name: "f", Text: text}}); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{`a\sb`: "a b", `\x00\xff`: "\x00\xff", `\0\t`: "\x00\t", `a\z`: `a\z`, `\xzz`: `\xzz`} {
		if got := Unescape(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	if got := Expand("ab{3}"); got != "abxxx" {
		t.Error(got)
	}
}

// peer is a broker that answers every connection with the given bytes and then
// closes, or not.
func peer(t *testing.T, answer string, closes bool) Options {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Write([]byte(answer))
				if !closes {
					_, _ = io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	return Options{Addr: l.Addr().String(), Timeout: 2 * time.Second, Quiet: 200 * time.Millisecond}
}

const (
	connack = "\x20\x03\x00\x00\x00"
	publish = "\x30\x05\x00\x01t\x00m"
)

func TestExpectationsHoldOrNot(t *testing.T) {
	var wg sync.WaitGroup
	for _, c := range []struct {
		exchange, answer string
		closes           bool
		want             string // part of the failure, "" for none
	}{
		{"a connect", connack, false, ""},
		{"a connect", "", false, "nothing of that kind came"},
		{"a connect", "\x20\x03\x00\x87\x00", false, "want code=00"},
		{"a connect resumed", connack, false, "want present=1"},
		{"a connect", publish, false, "want connack next"},
		{"a connect\n  a silent", connack, false, ""},
		{"a connect\n  a silent", connack + publish, false, "want nothing"},
		{"a connect\n  a silent", connack, true, "closed"},
		{"a connect\n  a closed", connack, true, ""},
		{"a connect\n  a closed", connack, false, "it is open"},
		{"a connect\n  a closed", connack + "\xe0\x02\x82\x00", true, ""},
		{"a connect\n  a closed 81", connack + "\xe0\x02\x82\x00", true, "got DISCONNECT"},
		{"a connect\n  a eof", connack + "\xe0\x02\x82\x00", true, "got DISCONNECT"},
		{"a connect\n  a ends", connack + publish, true, ""},
		{"a hello\n  a refused", "\x20\x03\x00\x87\x00", true, ""},
		{"a hello\n  a refused", "\x20\x03\x01\x87\x00", true, "got CONNACK"},
		{"a hello\n  a refused", connack, true, "got CONNACK"},
		{"a hello\n  a closed", "\xe0\x02\x82\x00", true, "got DISCONNECT"},
		{"a connect\n  a recv t m qos=0", connack + publish, false, ""},
		{"a connect\n  a recv t n", connack + publish, false, "want payload=n"},
		{"a connect\n  a < publish payload=x|m topic!=x msgexp=-", connack + publish, false, ""},
		{"a connect\n  a < publish msgexp=*", connack + publish, false, "(absent)"},
		{"a connect\n  a < publish payload=?x\n  a < publish payload!=@x", connack + publish + publish, false, "want payload!=m"},
		{"a connect\n  a collect\n  a count publish 2\n  a every publish payload=m", connack + publish + publish, false, ""},
		{"a connect\n  a collect\n  a count publish 1", connack + publish + publish, false, "2 packets match"},
		{"a connect\n  a either puback", connack, true, ""},
		{"a connect\n  a either puback", connack, false, "nothing of that kind"},
		{"a connect maxpkt=6\n  a < publish", connack + publish, false, "more than the Maximum Packet Size"},
		{"a connect\n  a < publish", connack + "\x30\x08\x00\x01t\x03\x23\x00\x01m", false, "takes aliases up to 0"},
		{"a connect aliasmax=1\n  a < publish\n  a < publish topic=t", connack + "\x30\x08\x00\x01t\x03\x23\x00\x01m\x30\x06\x00\x00\x03\x23\x00\x01", false, ""},
		{"a connect aliasmax=1\n  a < publish", connack + "\x30\x06\x00\x00\x03\x23\x00\x01", false, "has no topic"},
		{"a connect\n  a < publish", connack + "\x31\x02\x00\x05", false, "malformed"},
		{"a connect\n  a unless code=00\n  a closed", connack, false, ""},
		{"a connect\n  a frobnicate", connack, false, "no verb"},
		{"b ping", connack, false, "no client"},
	} {
		test, o := parse(t, "  "+c.exchange+"\n"), peer(t, c.answer, c.closes)
		wg.Go(func() {
			err := Run(test, o)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%q: %v", c.exchange, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%q after % x: %v, want %q", c.exchange, c.answer, err, c.want)
			}
		})
	}
	wg.Wait()
}

func TestWhatTheBrokerDoesNotOfferIsNotDecided(t *testing.T) {
	poor := "\x20\x05\x00\x00\x02\x24\x00" // Maximum QoS 0
	for _, exchange := range []string{"a connect\n  a need maxqos=2", "a connect\n  a pub t m qos=1", "a connect\n  a need aliasmax>=1"} {
		if err := Run(parse(t, "  "+exchange+"\n"), peer(t, poor, false)); !errors.Is(err, ErrUndecided) {
			t.Errorf("%q: %v", exchange, err)
		}
	}
	err := Run(parse(t, "  a connect\n  a need maxqos<=1\n  a > publish topic=t qos=1 id=1\n  a closed\n"), peer(t, poor, false))
	if err == nil || errors.Is(err, ErrUndecided) {
		t.Errorf("a test of the very limit: %v", err)
	}
}

func TestTokensDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		token := NewToken()
		if len(token) != 9 || seen[token] {
			t.Fatalf("%q", token)
		}
		seen[token] = true
	}
}

func TestMatches(t *testing.T) {
	p := wire.New(wire.Publish)
	p.Topic = "t"
	if !Matches(p, []string{"topic=t", "qos=0"}) || Matches(p, []string{"topic=u"}) {
		t.Error("conditions do not hold as they should")
	}
}
