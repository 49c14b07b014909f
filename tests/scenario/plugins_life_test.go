package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// life is that of a plugin on a node with a client at work.
type life struct {
	t *testing.T
	*testkit.Broker
	name   string
	poster *poster // where the web hook posts
	calls  int     // of exercise, so that each has its own topics and clients
}

// lives are the plugins: their settings, and what they do, seen by clients. exercise
// is called with what is expected: that it is done, or that it is not.
var lives = map[string]struct {
	conf     func(*life) string
	exercise func(l *life, on bool)
}{
	"emq_mod_presence":         {none, exercisePresence},
	"emq_retainer":             {none, exerciseRetainer},
	"emq_mod_subscription":     {lines("module.subscription.1.topic = own/%c"), exerciseSubscription},
	"emq_mod_rewrite":          {lines("module.rewrite.rule.1 = x/# ^x/(.+)$ y/$1"), exerciseRewrite},
	"emq_mod_delayed":          {none, exerciseDelayed},
	"emq_mod_topic_metrics":    {lines("topic_metrics.1 = counted/#"), exerciseTopicMetrics},
	"emq_mod_slow_subscribers": {lines("slow_subscribers.threshold = 5ms"), exerciseSlowSubscribers},
	"emq_mod_flapping":         {lines("flapping.count = 2", "flapping.ban = 1h"), exerciseFlapping},
	"emq_web_hook":             {postTo, exerciseWebHook},
	module:                     {lines("wasm.file = data/example.wasm", "wasm.timeout = 1m", "wasm.instances = 1"), exerciseModule},
}

// module is the WASM example.
const module = "example"

func none(*life) string { return "" }

func lines(l ...string) func(*life) string {
	return func(*life) string { return strings.Join(l, "\n") + "\n" }
}

// TestEveryPluginIsLoadedExercisedCrashedAndUnloadedUnderLoad: what it does begins
// with its load, comes back after a crash, ends when it crashes too often and when it
// is unloaded, and nothing of it is left; of all that another client's messages
// notice nothing.
func TestEveryPluginIsLoadedExercisedCrashedAndUnloadedUnderLoad(t *testing.T) {
	b := testkit.Start(t)
	out, _ := b.Command(t, "plugins", "list")
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "Plugin("), ",")
		if lives[name].exercise == nil {
			t.Errorf("%s ships, and is not tested here", name)
		}
	}
	for name := range lives {
		t.Run(name, func(t *testing.T) { live(t, name) })
	}
}

func live(t *testing.T, name string) {
	l := &life{t: t, name: name, poster: newPoster(t)}
	l.Broker = testkit.Start(t, func(c *config.Config) {
		write(t, c.Path(c.MQTT.PluginsLoaded), "% nothing is loaded\n")
		plugin(t, c, name, lives[name].conf(l))
	})
	if name == module {
		buildModule(t, l.Config.Path("data/example.wasm"))
	}
	exercise := lives[name].exercise
	traffic := startTraffic(t, l.Broker)
	exercise(l, false) // what a node begins with the first of its kind is there
	if l.alarm() {
		t.Error("there is an alarm before it was loaded")
	}
	before := l.look()

	l.change("load")
	loaded := l.runs()
	exercise(l, true)
	l.crash(loaded)
	exercise(l, true)
	for !l.alarm() {
		l.crash(loaded)
	}
	exercise(l, false)
	l.change("load")
	if l.alarm() {
		t.Error("it runs again, and the alarm is still on")
	}
	exercise(l, true)
	l.change("unload")
	exercise(l, false)
	l.gone(before)
	traffic.end()
}

// gone waits until nothing is left of the plugin.
func (l *life) gone(before look) {
	l.t.Helper()
	more := ""
	defer func() {
		if more != "" {
			l.t.Log(more)
		}
	}()
	testkit.Eventually(l.t, "nothing is left of it", func() bool {
		more = l.look().more(before)
		return more == ""
	})
}

// crash has the plugin die as of a panic in one of its hooks, and waits until it has
// been started again, or given up.
func (l *life) crash(runs string) {
	l.t.Helper()
	before := l.restarts()
	l.Hooks().OnPanic(l.name, 0, "broken by a test")
	testkit.Eventually(l.t, "it comes back, or does not", func() bool {
		return l.alarm() || l.restarts() > before && l.runs() == runs
	})
}

// runs is what there is as long as the plugin runs.
func (l *life) runs() string { return l.Shape(l.t) + l.hooked() }

// restarts is how often the plugin was started again since it was loaded; -1 if it is not.
func (l *life) restarts() int {
	for _, n := range l.Tree(l.t, "node/plugins").Children {
		if n.Name == l.name {
			return n.Restarts
		}
	}
	return -1
}

// alarm tells whether the plugin has been given up, by what the HTTP API says.
func (l *life) alarm() bool {
	l.t.Helper()
	body, status := l.Ask(l.t, "/api/v2/nodes/"+l.Config.Node.Name+"/alarms")
	if status != http.StatusOK {
		l.t.Fatalf("alarms: %d %s", status, body)
	}
	return strings.Contains(body, `"plugin.`+l.name+`"`)
}

func (l *life) change(verb string) {
	l.t.Helper()
	if out, code := l.Command(l.t, "plugins", verb, l.name); code != 0 {
		l.t.Fatalf("%s: %s", verb, out)
	}
}

// client connects one; id is part of its identifier.
func (l *life) client(id string) *testkit.Client {
	c := l.Dial(l.t)
	c.Connect(testkit.Hello(l.own(id)))
	return c
}

// own is a text that no other call of exercise uses.
func (l *life) own(text string) string { return fmt.Sprintf("%s-%d", text, l.calls) }

func exercisePresence(l *life, on bool) {
	l.calls++
	w := l.client("watcher")
	w.Subscribe(0, "$SYS/brokers/+/clients/"+l.own("guest")+"/#")
	guest := l.client("guest")
	if on {
		if p := w.AnyPublish(); !strings.HasSuffix(string(p.Topic), "/connected") {
			l.t.Errorf("got %s", p.Topic)
		}
	}
	guest.Disconnect()
	if on {
		if p := w.AnyPublish(); !strings.HasSuffix(string(p.Topic), "/disconnected") {
			l.t.Errorf("got %s", p.Topic)
		}
	}
	w.Ping()
	w.Disconnect()
}

func exerciseRetainer(l *life, on bool) {
	l.calls++
	c, name := l.client("c"), l.own("kept/it")
	c.Retain(name, "1")
	c.Ping()
	if on {
		testkit.Eventually(l.t, "it is kept", func() bool {
			out, _ := l.Command(l.t, "retainer", "topics")
			return strings.Contains(out, name+"\n")
		})
	}
	c.Subscribe(0, name)
	if on {
		c.ExpectPublish(name, "1")
	}
	c.Ping()
	c.Disconnect()
}

func exerciseSubscription(l *life, on bool) {
	l.calls++
	c, id := l.client("c"), l.own("c")
	if on {
		testkit.Eventually(l.t, "the client is subscribed", func() bool {
			out, _ := l.Command(l.t, "subscriptions", "show", id)
			return strings.Contains(out, "own/"+id)
		})
	}
	c.Publish("own/"+id, "to myself", 0, 0)
	if on {
		c.ExpectPublish("own/"+id, "to myself")
	}
	c.Ping()
	c.Disconnect()
}

func exerciseRewrite(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Subscribe(0, l.own("y/it"))
	c.Publish(l.own("x/it"), "rewritten", 0, 0)
	if on {
		c.ExpectPublish(l.own("y/it"), "rewritten")
	}
	c.Ping()
	c.Disconnect()
}

func exerciseDelayed(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Subscribe(0, "later")
	c.Publish("$delayed/0/later", "delayed", 0, 0)
	if on {
		c.ExpectPublish("later", "delayed")
	}
	c.Ping()
	c.Disconnect()
}

func exerciseTopicMetrics(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Publish("counted/it", "1", 1, 7)
	c.ExpectAck(mqtt.PUBACK, 7)
	out, code := l.Command(l.t, "topic-metrics", "list")
	if on != (code == 0 && strings.HasPrefix(out, "Topic(counted/#, in=1,")) {
		l.t.Errorf("topic-metrics: %d %s", code, out)
	}
	c.Disconnect()
}

func exerciseSlowSubscribers(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Subscribe(1, l.own("slow"))
	c.Publish(l.own("slow"), "1", 1, 7)
	_, _, err := c.TryRead() // the PUBACK, or the PUBLISH
	_, _, err2 := c.TryRead()
	if err != nil || err2 != nil {
		l.t.Fatal(err, err2)
	}
	<-time.After(20 * time.Millisecond) // it is slow, not the test
	c.Send(&mqtt.Ack{Type: mqtt.PUBACK, ID: 1})
	c.Ping()
	testkit.Eventually(l.t, "it is listed, or cannot be", func() bool {
		out, code := l.Command(l.t, "slow-subscribers", "list")
		return on == (code == 0 && strings.Contains(out, "SlowSubscriber("+l.own("c")+", topic="+l.own("slow")))
	})
	c.Disconnect()
}

func exerciseFlapping(l *life, on bool) {
	l.calls++
	for range 2 {
		l.client("c").Disconnect()
	}
	if !on {
		l.client("c").Disconnect()
		return
	}
	testkit.Eventually(l.t, "it is banned", func() bool {
		out, _ := l.Command(l.t, "banned", "list")
		return strings.Contains(out, l.own("c"))
	})
	c := l.Dial(l.t)
	c.Send(testkit.Hello(l.own("c")))
	if ack := c.ExpectConnack(); ack.Code == 0 {
		l.t.Error("a client that is banned came in")
	}
	if out, code := l.Command(l.t, "banned", "del", "clientid", l.own("c")); code != 0 {
		l.t.Error(out)
	}
}

// poster is an HTTP server that keeps what is posted.
type poster struct {
	*httptest.Server
	mu  sync.Mutex
	got []map[string]any
}

func newPoster(t *testing.T) *poster {
	p := new(poster)
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event map[string]any
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &event) != nil {
			t.Errorf("posted %q, %v", body, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, event)
	}))
	t.Cleanup(p.Close)
	return p
}

// has tells whether an event was posted with a value.
func (p *poster) has(action, key, value string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.got, func(e map[string]any) bool { return e["action"] == action && e[key] == value })
}

func postTo(l *life) string {
	return "web.hook.api.url = " + l.poster.URL + "\n" +
		`web.hook.rule.client.connected.1 = {"action": "on_client_connected"}` + "\n" +
		`web.hook.rule.message.publish.1 = {"action": "on_message_publish", "topic": "hooked/#"}` + "\n"
}

func exerciseWebHook(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Publish("hooked/it", l.own("payload"), 1, 7)
	c.ExpectAck(mqtt.PUBACK, 7)
	posted := func() bool {
		return l.poster.has("client_connected", "client_id", l.own("c")) && l.poster.has("message_publish", "payload", l.own("payload"))
	}
	if on {
		testkit.Eventually(l.t, "the events are posted", posted)
	} else if posted() {
		l.t.Error("events are posted")
	}
	c.Disconnect()
}

func exerciseModule(l *life, on bool) {
	l.calls++
	c := l.client("c")
	c.Subscribe(0, "loud/it")
	c.Publish("loud/it", "quiet", 0, 0)
	if on {
		c.ExpectPublish("loud/it", "QUIET")
	} else {
		c.ExpectPublish("loud/it", "quiet")
	}
	c.Disconnect()
}

// traffic is a client that publishes to another one, one message after the other.
type traffic struct {
	t        *testing.T
	from, to *testkit.Client
	stop     chan struct{}
	sent     chan int // how many were acknowledged, when it has stopped
	received chan error
}

func startTraffic(t *testing.T, b *testkit.Broker) *traffic {
	l := &traffic{t: t, from: b.Dial(t), to: b.Dial(t), stop: make(chan struct{}), sent: make(chan int, 1), received: make(chan error, 1)}
	l.from.Connect(testkit.Hello("load-from"))
	l.to.Connect(testkit.Hello("load-to"))
	l.to.Subscribe(0, "load")
	go l.publish()
	go l.receive()
	return l
}

func (l *traffic) publish() {
	n := 0
	defer func() { l.sent <- n }()
	for {
		payload := fmt.Sprint(n)
		select {
		case <-l.stop:
			payload = "end"
		default:
		}
		l.from.Publish("load", payload, protocol.AtLeastOnce, 1)
		if h, _, err := l.from.TryRead(); err != nil || h.Type != mqtt.PUBACK || payload == "end" {
			return
		}
		n++
	}
}

func (l *traffic) receive() {
	for n := 0; ; n++ {
		h, body, err := l.to.TryRead()
		var p mqtt.Publish
		if err == nil {
			err = p.Decode(h, body, mqtt.V311)
		}
		if err == nil && string(p.Payload) == "end" {
			l.received <- nil
			return
		}
		if err == nil && string(p.Payload) != fmt.Sprint(n) {
			err = fmt.Errorf("message %d is %q", n, p.Payload)
		}
		if err != nil {
			l.received <- err
			return
		}
	}
}

// end expects that each message has come, once and in its order.
func (l *traffic) end() {
	l.t.Helper()
	close(l.stop)
	if err := <-l.received; err != nil {
		l.t.Errorf("the other client notices: %v", err)
	}
	if n := <-l.sent; n == 0 {
		l.t.Error("the other client has published nothing")
	}
}
