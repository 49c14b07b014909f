package scenario

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func liveAccessRows() []liveRow {
	guess := []string{"access.backoff.after", "1"}
	return []liveRow{
		{key: "mqtt.allow_anonymous", to: "false", see: (*liveRig).enters, before: "in", after: "refused"},
		{key: "mqtt.acl_nomatch", to: "deny", see: (*liveRig).subscribesToAny, before: "granted", after: "refused"},
		{key: "mqtt.acl_deny_action", to: "disconnect", see: (*liveRig).publishesWhatIsDenied, before: "stays", after: "closed"},
		{key: "acl.strict_wildcards", to: "false", see: (*liveRig).subscribesAcross, before: "refused", after: "granted"},
		{key: "mqtt.cache_acl", to: "false", see: (*liveRig).publishesTwice, before: "asked once", after: "asked again"},
		{key: "mqtt.acl_cache_max_size", to: "1", see: (*liveRig).publishesTwice, before: "asked once", after: "asked again"},
		{key: "mqtt.acl_cache_ttl", to: "1s", see: (*liveRig).asksAgain, after: "asked again"},
		{key: "access.backoff.first", to: "100ms", with: guess, see: (*liveRig).guessesAndTries, after: "may try"},
		{key: "access.backoff.longest", to: "1s", with: guess, see: (*liveRig).guessesAndTries, after: "may try"},
		{key: "access.backoff.size", to: "16", with: guess, see: (*liveRig).isForgotten, before: "must wait", after: "may try"},
		{key: "access.backoff.after", to: "1", see: (*liveRig).guesses, before: "may try", after: "must wait"},
	}
}

// code is that of the CONNACK for a client.
func (r *liveRig) code(p *mqtt.Connect) protocol.ReasonCode {
	c := r.b.DialMemory(r)
	c.Version = p.Version
	c.Send(p)
	return c.ExpectConnack().Code
}

func (r *liveRig) enters() string {
	if r.code(testkit.Hello(r.name())) == 0 {
		return "in"
	}
	return "refused"
}

// granted is what the client that is there is told of a filter.
func (r *liveRig) granted(filters ...string) string {
	p := &mqtt.Subscribe{ID: 7}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f})
	}
	r.old.Send(p)
	var ack mqtt.Suback
	h, body, err := r.old.TryRead()
	if err == nil {
		err = ack.Decode(h, body, r.old.Version)
	}
	if err != nil {
		r.Fatal(err)
	}
	for _, code := range ack.Codes {
		if code >= 0x80 {
			return "refused"
		}
	}
	return "granted"
}

func (r *liveRig) subscribesToAny() string  { return r.granted(r.name() + "/x") }
func (r *liveRig) subscribesAcross() string { return r.granted("+/a") }

func (r *liveRig) publishesWhatIsDenied() string {
	c, _ := r.client()
	c.Publish("secret/a/b", "x", 1, 1)
	if h, _, err := c.TryRead(); err != nil || h.Type != mqtt.PUBACK {
		return "closed"
	}
	return "stays"
}

// publishesTwice publishes to eight topics, to each twice. A small cache
// forgets some of them in between; which ones is chance.
func (r *liveRig) publishesTwice() string {
	n, from := r.name(), r.asked.Load()
	for id := range protocol.PacketID(16) {
		r.old.Publish(fmt.Sprintf("asked/%s/%d", n, id%8), "x", 1, id+1)
		r.old.ExpectAck(mqtt.PUBACK, id+1)
	}
	if r.asked.Load() == from+8 {
		return "asked once"
	}
	return "asked again"
}

func (r *liveRig) asksAgain() string {
	name, from := "asked/"+r.name(), r.asked.Load()
	testkit.Eventually(r, "the judge is asked again", func() bool {
		r.old.Publish(name, "x", 1, 1)
		r.old.ExpectAck(mqtt.PUBACK, 1)
		return r.asked.Load() >= from+2
	})
	return "asked again"
}

func ann(user, password string) *mqtt.Connect {
	p := testkit.Hello(user)
	p.HasUserName, p.UserName, p.HasPassword, p.Password = true, user, true, []byte(password)
	return p
}

// guesses gives two wrong passwords, and then the right one.
func (r *liveRig) guesses() string {
	user := "ann" + r.name()
	for range 2 {
		if r.code(ann(user, "wrong")) == 0 {
			r.Fatal("a wrong password will do")
		}
	}
	if r.code(ann(user, "right")) != 0 {
		return "must wait"
	}
	return "may try"
}

// guessesAndTries gives wrong passwords, and then the right one until it is let in.
func (r *liveRig) guessesAndTries() string {
	user := "ann" + r.name()
	for range 4 {
		_ = r.code(ann(user, "wrong"))
	}
	testkit.Eventually(r, "the right password is asked for", func() bool { return r.code(ann(user, "right")) == 0 })
	return "may try"
}

func (r *liveRig) logsInfo() string {
	if strings.Contains(r.b.Log(), "configuration accepted") {
		return "logged"
	}
	return "quiet"
}

// asksHTTP asks while another connection is open.
func (r *liveRig) asksHTTP() string {
	held, err := net.Dial("tcp", r.b.Addr(testkit.API))
	if err != nil {
		r.Fatal(err)
	}
	defer held.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.b.Addr(testkit.API) + "/status")
	if err != nil {
		return "closed"
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return "answered"
}

// isForgotten guesses from one address, then from others, and is right from the first.
func (r *liveRig) isForgotten() string {
	knock := func(from byte, user, password string) bool {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(r.names), from)}}
		conn, err := d.DialContext(r.Context(), "tcp", r.b.Addr(testkit.TCP))
		if err != nil {
			r.Fatal(err)
		}
		c := testkit.NewClient(r, conn)
		c.Send(ann(user, password))
		return c.ExpectConnack().Code == 0
	}
	r.names++
	user := "ann" + r.name()
	for from := range byte(20) {
		for range 2 {
			knock(from+2, fmt.Sprintf("%s-%d", user, from), "wrong")
		}
	}
	if knock(2, user+"-0", "right") {
		return "may try"
	}
	return "must wait"
}
