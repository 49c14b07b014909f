package scenario

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func liveListenerRows(name string) []liveRow {
	l := "listener." + name + "."
	rows := []liveRow{
		{key: l + "max_clients", to: "1", see: (*liveRig).crowd, before: "all in", after: "one refused"},
		{key: l + "max_conn_rate", to: "1", see: (*liveRig).crowd, before: "all in", after: "one refused"},
		{key: l + "max_clients_per_ip", to: "1", see: (*liveRig).crowd, before: "all in", after: "one refused"},
		{key: l + "max_conn_rate_per_ip", to: "1", see: (*liveRig).crowd, before: "all in", after: "one refused"},
		{key: l + "access.1", to: "deny all", see: (*liveRig).crowd, before: "all in", after: "one refused"},
		{key: l + "rate_limit", to: "1,1", see: (*liveRig).publishesFast, after: "held back"},
		{key: l + "message_rate_limit", to: "1,1", see: (*liveRig).publishesFast, after: "held back"},
		{key: l + "total_message_rate_limit", to: "1,1", see: (*liveRig).publishesFast, after: "held back"},
		{key: l + "mountpoint", to: "m/", see: (*liveRig).publishesBelow, before: "t/x", after: "m/t/x"},
		{key: l + "send_timeout", to: "100ms", see: (*liveRig).readsNothing, after: "closed"},
		{key: l + "send_timeout_close", to: "on", with: []string{l + "send_timeout_close", "off", l + "send_timeout", "100ms"}, see: (*liveRig).readsNothing, after: "closed"},
	}
	if strings.HasPrefix(name, "ws") {
		rows = append(rows,
			liveRow{key: l + "path", to: "/other", see: (*liveRig).crowd, before: "all in", after: "one refused"},
			liveRow{key: l + "origins", to: "https://friend.example", see: (*liveRig).crowd, before: "all in", after: "one refused"})
	}
	return rows
}

// open opens a connection to the listener of the row, as a browser would with
// WebSockets.
func (r *liveRig) open() (net.Conn, error) {
	addr, insecure := r.b.Addr(r.listener), &tls.Config{InsecureSkipVerify: true}
	typ, _, _ := strings.Cut(r.listener, ".")
	switch typ {
	case "ssl":
		return tls.DialWithDialer(&net.Dialer{Timeout: testkit.Patience}, "tcp", addr, insecure)
	case "ws", "wss":
		d := ws.Dialer{
			Protocols: []string{"mqtt"}, Timeout: testkit.Patience, TLSConfig: insecure,
			Header: ws.HandshakeHeaderHTTP(http.Header{"Origin": {"https://stranger.example"}}),
		}
		conn, _, _, err := d.Dial(r.Context(), typ+"://"+addr+"/mqtt")
		return &wsClient{Conn: conn}, err
	}
	return net.DialTimeout("tcp", addr, testkit.Patience)
}

// dialed is a connection to that listener.
func (r *liveRig) dialed() *testkit.Client {
	r.Helper()
	conn, err := r.open()
	if err != nil {
		r.Fatal(err)
	}
	return testkit.NewClient(r, conn)
}

// crowd has some clients connect to the listener, all from one address.
func (r *liveRig) crowd() string {
	for range 5 {
		conn, err := r.open()
		if err != nil {
			return "one refused"
		}
		c := testkit.NewClient(r, conn)
		c.Send(testkit.Hello(r.name()))
		if h, _, err := c.TryRead(); err != nil || h.Type != mqtt.CONNACK {
			return "one refused"
		}
		defer c.Close()
	}
	return "all in"
}

// publishesBelow is the topic that clients of another listener see.
func (r *liveRig) publishesBelow() string {
	other, _ := r.client()
	other.Subscribe(0, "t/#", "m/#")
	c := r.dialed()
	c.Connect(testkit.Hello(r.name()))
	c.Publish("t/x", "x", 0, 0)
	return string(other.AnyPublish().Topic)
}

// readsNothing subscribes to what is published without end.
func (r *liveRig) readsNothing() string {
	name, id := r.name(), r.name()
	c := r.dialed()
	c.Connect(testkit.Hello(id))
	c.Subscribe(0, name)
	from, _ := r.client()
	payload := strings.Repeat("x", 60<<10)
	deadline := time.Now().Add(testkit.Patience)
	for n := 0; time.Now().Before(deadline); n++ {
		from.Publish(name, payload, 0, 0)
		if n%64 == 0 {
			from.Ping()
			if out, code := r.b.Command(r, "clients", "show", id); code != 0 || !strings.Contains(out, "Client("+id+",") {
				return "closed"
			}
		}
	}
	return "stays"
}
