package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// runBench runs the program against an address and decodes its report.
func runBench(t *testing.T, addr, args string) (code int, report map[string]any, stderr string) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, append(strings.Fields(args), "-p", port, "--json", "--quiet"), &out, &errs)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%s: %v", out.String(), err)
		}
	}
	return code, report, errs.String()
}

func TestEveryScenarioAccountsForAllItDid(t *testing.T) {
	b := testkit.Start(t)
	own := " --pid " + strconv.Itoa(os.Getpid())
	for _, tc := range []struct {
		args string
		want map[string]float64 // exact figures; -1 is anything above 0
	}{
		{"conn -c 300 -t dev/%i --hold 10ms --settle 10ms" + own, map[string]float64{"connected": 300, "held": 300, "subscribes_per_s": -1}},
		{"conn -c 50 --rate 1000 --hold 10ms --goroutines", map[string]float64{"connected": 50, "held": 50, "connects_per_s": -1}},
		{"pair -c 4 -q 0 --warm 20ms --for 150ms" + own, map[string]float64{"lost": 0, "duplicates": 0, "reordered": 0, "received": -1}},
		{"pair -c 4 -q 1 --warm 20ms --for 150ms --v5", map[string]float64{"lost": 0, "duplicates": 0, "reordered": 0, "received": -1}},
		{"pair -c 4 -q 2 --warm 20ms --for 150ms", map[string]float64{"lost": 0, "duplicates": 0, "reordered": 0, "received": -1}},
		{"pair -c 4 -q 2 --warm 20ms --for 150ms --goroutines", map[string]float64{"lost": 0, "duplicates": 0, "reordered": 0, "received": -1}},
		{"pair -c 7 --subs 3 -q 1 --warm 20ms --for 150ms", map[string]float64{"pairs": 7, "subscribers": 3, "lost": 0, "duplicates": 0, "reordered": 0, "received": -1}},
		// A flood is more than the broker must keep: what it drops at QoS 0 is no failure.
		{"pair -c 4 -q 0 --mode flood --warm 20ms --for 100ms --drain 500ms", map[string]float64{"duplicates": 0, "reordered": 0, "received": -1}},
		{"pair -c 4 -q 1 --mode rate --rate 500 --warm 20ms --for 150ms", map[string]float64{"lost": 0, "received": -1}},
		{"fan -c 50 --rounds 20 -q 1", map[string]float64{"lost": 0, "duplicates": 0, "deliveries_per_s": -1}},
		{"routes -c 5 --steps 100,400 --for 50ms", nil},
		{"rtt -c 3 -q 1 --warm 20ms --for 100ms", map[string]float64{"round_trips_per_s": -1}},
		{"retained -c 2 --messages 500", map[string]float64{"stored_per_s": -1}},
		{"offline -c 10 --messages 205 -q 2", map[string]float64{"sessions_present": 10, "drained": 205, "lost": 0}},
		{"pub -c 5 -t pub/%i -I 1 --limit 200 -q 1", map[string]float64{"connected": 5, "sent": 200}},
		{"pub -c 5 -t pub/%i -I 1 --limit 200 -s 4", map[string]float64{"sent": 200}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			code, r, stderr := runBench(t, b.Addr(testkit.TCP), tc.args)
			if code != 0 {
				t.Fatalf("exit %d: %v %s", code, r, stderr)
			}
			for key, want := range tc.want {
				got, ok := r[key].(float64)
				if !ok || want >= 0 && got != want || want < 0 && got <= 0 {
					t.Errorf("%s is %v, want %v", key, r[key], want)
				}
			}
			for _, s := range list(r["steps"]) {
				if s["lost"] != nil && s["lost"] != 0.0 || s["missing"] != nil && s["missing"] != 0.0 {
					t.Errorf("%v", s)
				}
			}
		})
	}
	testkit.Eventually(t, "all clients and sessions gone", func() bool {
		return testkit.Value(b.Metrics().Stats(), "clients/count") == 0 && testkit.Value(b.Metrics().Stats(), "sessions/count") == 0
	})
}

func list(v any) []map[string]any {
	var all []map[string]any
	items, _ := v.([]any)
	for _, i := range items {
		if m, ok := i.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func TestScenariosGoOverWebSocket(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) {
		l := c.Listeners[0]
		l.Type, l.Name = config.ListenerWS, "sockets"
		c.Listeners = append(c.Listeners, l)
	})
	addr := b.Addr(config.ListenerWS + ".sockets")
	for _, args := range []string{
		"pair -c 4 -q 0 --warm 20ms --for 150ms", "pair -c 4 -q 2 -s 300 --warm 20ms --for 150ms",
		"pair -c 2 -q 1 -s 60000 --window 3 --warm 20ms --for 150ms", "pair -c 4 -q 1 --warm 20ms --for 150ms --goroutines",
	} {
		t.Run(args, func(t *testing.T) {
			code, r, stderr := runBench(t, addr, args+" --ws")
			if got, _ := r["received"].(float64); code != 0 || got == 0 || r["lost"] != 0.0 || r["reordered"] != 0.0 {
				t.Errorf("exit %d: %v %s", code, r, stderr)
			}
		})
	}
	if code, _, stderr := runBench(t, addr, "conn -c 1 --ws --ws-path /elsewhere --hold 1ms"); code != 1 {
		t.Errorf("a path that the broker does not serve: exit %d: %s", code, stderr)
	}
}

func TestSubReceivesWhatPubSends(t *testing.T) {
	b := testkit.Start(t)
	type outcome struct {
		code   int
		report map[string]any
	}
	done := make(chan outcome, 1)
	go func() {
		code, r, _ := runBench(t, b.Addr(testkit.TCP), "sub -c 3 -t seed/%i -q 1 --limit 90 --for 20s")
		done <- outcome{code, r}
	}()
	testkit.Eventually(t, "three subscriptions", func() bool { return testkit.Value(b.Metrics().Stats(), "subscriptions/count") == 3 })
	if code, r, stderr := runBench(t, b.Addr(testkit.TCP), "pub -c 3 -t seed/%i -q 1 -I 1 --limit 90"); code != 0 {
		t.Fatalf("pub: exit %d: %v %s", code, r, stderr)
	}
	o := <-done
	latency, _ := o.report["latency_us"].(map[string]any)
	if o.code != 0 || o.report["received"] != 90.0 || latency["count"] != 90.0 {
		t.Errorf("sub: exit %d: %v", o.code, o.report)
	}
}

func TestRefusedClientsAreAFailure(t *testing.T) {
	b := testkit.Start(t, func(c *config.Config) { c.MQTT.AllowAnonymous = false })
	code, r, _ := runBench(t, b.Addr(testkit.TCP), "conn -c 7 --hold 1ms")
	errs, _ := r["errors"].([]any)
	if code != 1 || r["connected"] != 0.0 || len(errs) != 1 || !strings.HasPrefix(errs[0].(string), "7 × CONNACK: ") {
		t.Errorf("exit %d: %v", code, r)
	}
	if code, _, stderr := runBench(t, b.Addr(testkit.TCP), "pair -c 2"); code != 1 || !strings.Contains(stderr, "clients did not come up") {
		t.Errorf("pair: exit %d: %s", code, stderr)
	}
}

// secured is a listener with TLS that hands on to a broker without.
func secured(t *testing.T, to string) string {
	s := httptest.NewUnstartedServer(nil) // for its certificate
	s.StartTLS()
	t.Cleanup(s.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: s.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	relay := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
	}
	all.Go(func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			inner, err := net.Dial("tcp", to)
			if err != nil {
				outer.Close()
				continue
			}
			all.Go(func() { relay(outer, inner) })
			all.Go(func() { relay(inner, outer) })
		}
	})
	return l.Addr().String()
}

func TestClientsSpeakTLS(t *testing.T) {
	b := testkit.Start(t)
	addr := secured(t, b.Addr(testkit.TCP))
	code, r, stderr := runBench(t, addr, "rtt -c 2 -q 1 --warm 1ms --for 20ms -S --insecure")
	if code != 0 {
		t.Errorf("exit %d: %v %s", code, r, stderr)
	}
	code, r, _ = runBench(t, addr, "conn -c 2 --hold 1ms -S")
	if errs := texts(r["errors"]); code != 1 || len(errs) != 1 || !strings.Contains(errs[0], "certificate") {
		t.Errorf("exit %d: %v", code, r)
	}
}

func TestNobodyListensIsAFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, network := range []string{"", " --goroutines"} {
		code, r, _ := runBench(t, addr, "conn -c 2 --hold 1ms"+network)
		errs, _ := r["errors"].([]any)
		if code != 1 || len(errs) != 1 || !strings.Contains(errs[0].(string), "refused") {
			t.Errorf("exit %d: %v", code, r)
		}
	}
}

// forgetful is a broker that acknowledges everything and delivers nothing.
func forgetful(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	serve := func(c *testkit.Client) {
		for {
			h, body, err := c.TryRead()
			if err != nil {
				c.Close()
				return
			}
			switch h.Type {
			case mqtt.CONNECT:
				c.Send(&mqtt.Connack{})
			case mqtt.SUBSCRIBE:
				var p mqtt.Subscribe
				if p.Decode(h, body, mqtt.V311) == nil {
					c.Send(&mqtt.Suback{ID: p.ID, Codes: make([]protocol.ReasonCode, len(p.Subscriptions))})
				}
			case mqtt.PUBLISH:
				var p mqtt.Publish
				if p.Decode(h, body, mqtt.V311) == nil && p.QoS == 1 {
					c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
				}
			}
		}
	}
	go func() {
		defer close(ended)
		var all []chan struct{}
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			over := make(chan struct{})
			all = append(all, over)
			go func() { defer close(over); serve(testkit.NewClient(t, conn)) }()
		}
		for _, over := range all {
			<-over
		}
	}()
	return l.Addr().String()
}

func TestLossIsAFailureFromQoS1On(t *testing.T) {
	addr := forgetful(t)
	code, r, stderr := runBench(t, addr, "pair -c 2 -q 1 --window 5 --warm 1ms --for 20ms --drain 50ms")
	if code != 1 || r["lost"] != 10.0 || !strings.Contains(stderr+strings.Join(texts(r["errors"]), ","), "10 messages of QoS 1 were lost") {
		t.Errorf("QoS 1: exit %d: %v %s", code, r, stderr)
	}
	code, r, stderr = runBench(t, addr, "pair -c 2 -q 0 --window 5 --warm 1ms --for 20ms --drain 50ms")
	if code != 0 || r["lost"] != 10.0 {
		t.Errorf("QoS 0: exit %d: %v %s", code, r, stderr)
	}
}

func texts(v any) []string {
	var all []string
	items, _ := v.([]any)
	for _, i := range items {
		if s, ok := i.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// watched calls seen when a text is written to it.
type watched struct {
	text string
	seen func()
}

// Write implements io.Writer.
func (w watched) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.text) {
		w.seen()
	}
	return len(b), nil
}

func TestAnInterruptEndsARunWithItsReport(t *testing.T) {
	b := testkit.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	_, port, _ := net.SplitHostPort(b.Addr(testkit.TCP))
	var out bytes.Buffer
	code := run(ctx, []string{"conn", "-c", "5", "--hold", "0", "-p", port}, &out, watched{"holding 5 connections", cancel})
	if code != 0 || !strings.Contains(out.String(), "still connected            5\n") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestWrongOptionsAreExplained(t *testing.T) {
	for args, want := range map[string]string{
		"pair -q 3":                  "-q 3: 0, 1 or 2",
		"pair -s 3":                  "-s 3: at least 20",
		"pair --mode fast":           "--mode fast",
		"conn -c 0":                  "-c 0: at least 1",
		"conn --prefix a#":           "--prefix",
		"conn --cafile x":            "go with -S",
		"conn -c 100000000":          "ulimit -n",
		"conn --pid 2000000000":      "no such process",
		"routes -t a/b":              "without %i",
		"routes --steps 10,5":        "ascend",
		"sub":                        "-t is needed",
		"pub -t x -I 0":              "-I above 0",
		"conn --ifaddr nowhere":      "--ifaddr",
		"conn -h no-such-host.test.": "-h no-such-host.test.",
		"nonsense":                   "unknown command",
	} {
		code, _, stderr := runBench(t, "127.0.0.1:1", args)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %q does not say %q", args, code, stderr, want)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, name := range []string{"conn", "sub", "pub", "pair", "fan", "routes", "rtt", "retained", "offline"} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), []string{name, "--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "-h, --host") {
			t.Errorf("%s: exit %d: %s%s", name, code, out.String(), errs.String())
		}
	}
}
