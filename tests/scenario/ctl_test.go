package scenario

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

func TestCommandLineShowsWhatTheNodeDoes(t *testing.T) {
	home := testkit.NewHome(t)
	home.Foreground()
	c := testkit.Dial(t, home.MQTT)
	c.Connect(testkit.Persistent("dev-1"))
	c.Subscribe(1, "a/+", "b")

	for _, tc := range []struct{ args, want string }{
		{"status", `^Node '` + regexp.QuoteMeta(home.NodeName()) + `' is started\nemqttd \S+ is running\nanybody may connect: mqtt\.allow_anonymous is true\n$`},
		{"broker", `(?m)^uptime +: `},
		{"broker stats", `(?m)^clients/count +: 1$`},
		{"broker metrics", `(?m)^packets/connect +: 1$`},
		{"clients list", `^Client\(dev-1, clean_sess=false, username=undefined, peername=127\.0\.0\.1:\d+, connected_at=\d+\)\n$`},
		{"clients show dev-1", `^Client\(dev-1, `},
		{"sessions list", `^Session\(dev-1, clean_sess=false, subscriptions=2, `},
		{"sessions list persistent", `^Session\(dev-1, `},
		{"sessions list transient", `^$`},
		{"sessions show dev-1", `^Session\(dev-1, `},
		{"topics list", `(?m)^a/\+$`},
		{"routes show b", `^b -> ` + regexp.QuoteMeta(home.NodeName())},
		{"subscriptions show dev-1", `(?m)^dev-1 -> a/\+$`},
		{"listeners", `(?m)^listener on mqtt:tcp:` + regexp.QuoteMeta(home.MQTT) + `$`},
		{"actors tree", `(?m)^node +children=\d+ mailbox=\d+ restarts=0$`},
		{"actors tree --shape", `(?m)^├─ topics/<0\.\.n>$`},
		{"actors show admin", `(?m)^id +: node/admin$`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			o := home.Ctl(strings.Fields(tc.args)...)
			if o.Code != 0 || !regexp.MustCompile(tc.want).MatchString(o.Stdout) {
				t.Errorf("exit %d, want %s\n%s%s", o.Code, tc.want, o.Stdout, o.Stderr)
			}
		})
	}

	t.Run("an operator's subscription is the client's", func(t *testing.T) {
		want(t, home.Ctl("subscriptions", "add", "dev-1", "added", "0"), 0, "ok\n")
		c.Publish("added", "x", 0, 0)
		c.ExpectPublish("added", "x")
		want(t, home.Ctl("subscriptions", "del", "dev-1", "added"), 0, "ok\n")
	})
	t.Run("a kicked client leaves its session", func(t *testing.T) {
		if o := home.Ctl("clients", "kick", "dev-1"); o.Code != 0 {
			t.Fatalf("%+v", o)
		}
		c.ExpectClosed()
		back := testkit.Dial(t, home.MQTT)
		if ack := back.Connect(testkit.Persistent("dev-1")); !ack.SessionPresent {
			t.Error("the session is gone")
		}
	})
	t.Run("the wrong cookie is refused", func(t *testing.T) {
		other := testkit.NewHome(t, "node.cookie = another")
		dist := regexp.MustCompile(`(?m)^node\.dist_listen = .*$`)
		other.Rewrite(dist, dist.FindString(home.Text()))
		if o := other.Ctl("status"); o.Code != 1 || !strings.Contains(o.Stderr, "cookie") {
			t.Errorf("%+v", o)
		}
	})
}

// ask sends a request as the first user of the HTTP API.
func ask(method, url string, form url.Values) (*http.Response, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("admin", "public")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return http.DefaultClient.Do(r)
}

func TestHTTPPublishesAndShowsSessions(t *testing.T) {
	home := testkit.NewHome(t)
	home.Foreground()
	m := newMosquitto(t, home.MQTT)
	s := m.sub("-i", "reader", "-t", "http/#", "-q", "1", "-C", "1")

	base := "http://" + home.HTTP
	fetch := func(r *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", r.Request.URL, r.Status, b, err)
		}
		return string(b)
	}
	node := url.PathEscape(home.NodeName())
	for path, want := range map[string]string{
		"/api/v2/nodes/" + node + "/sessions":        `"client_id":"reader"`,
		"/api/v2/nodes/" + node + "/clients":         `"client_id":"reader"`,
		"/api/v2/nodes/" + node + "/sessions/reader": `"subscriptions":1`,
		"/status": "emqttd is running",
	} {
		if got := fetch(ask(http.MethodGet, base+path, nil)); !strings.Contains(got, want) {
			t.Errorf("GET %s: %s", path, got)
		}
	}
	form := url.Values{"topic": {"http/1"}, "message": {"from the web"}, "qos": {"1"}}
	if got := fetch(ask(http.MethodPost, base+"/mqtt/publish", form)); got != "ok" {
		t.Errorf("POST: %s", got)
	}
	s.Wait()
	s.Await("http/1|1|0|from the web")
}
