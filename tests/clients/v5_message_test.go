package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

func messageCases(t *testing.T, addr string) {
	t.Run("properties travel with the message, user properties in order", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "traveller")
		c.subscribe(2, "travel")
		user := paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}, {Key: "", Value: ""}}
		for qos := range byte(3) {
			c.publish("travel", qos, "{}", &paho.PublishProperties{
				PayloadFormat: pointer(byte(1)), ContentType: "application/json",
				ResponseTopic: "travel/answer", CorrelationData: []byte{0, 1, 0xff}, User: user,
			})
			p := c.expect("travel", "{}").Properties
			if p.PayloadFormat == nil || *p.PayloadFormat != 1 || p.ContentType != "application/json" {
				t.Errorf("QoS %d: payload format %v, content type %q", qos, p.PayloadFormat, p.ContentType)
			}
			if p.ResponseTopic != "travel/answer" || !slices.Equal(p.CorrelationData, []byte{0, 1, 0xff}) {
				t.Errorf("QoS %d: response topic %q, correlation data % x", qos, p.ResponseTopic, p.CorrelationData)
			}
			if !slices.Equal(p.User, user) {
				t.Errorf("QoS %d: user properties %v, want %v", qos, p.User, user)
			}
		}
	})
	t.Run("a request is answered at its response topic", func(t *testing.T) {
		t.Parallel()
		server, client := join5(t, addr, "rpc-server"), join5(t, addr, "rpc-client")
		server.subscribe(1, "rpc/double")
		client.subscribe(1, "rpc/answers/client")
		for i := range 5 {
			client.publish("rpc/double", 1, fmt.Sprint(i), &paho.PublishProperties{
				ResponseTopic: "rpc/answers/client", CorrelationData: []byte{byte(i)},
			})
			q := server.expect("rpc/double", fmt.Sprint(i))
			server.publish(q.Properties.ResponseTopic, 1, fmt.Sprint(2*i), &paho.PublishProperties{
				CorrelationData: q.Properties.CorrelationData,
			})
			if a := client.expect("rpc/answers/client", fmt.Sprint(2*i)); !slices.Equal(a.Properties.CorrelationData, []byte{byte(i)}) {
				t.Errorf("correlation data % x of answer %d", a.Properties.CorrelationData, i)
			}
		}
	})
	t.Run("a retained message keeps its properties", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "archivist")
		c.send(&paho.Publish{Topic: "archive", QoS: 1, Retain: true, Payload: []byte("x"), Properties: &paho.PublishProperties{
			ContentType: "text/plain", MessageExpiry: pointer(uint32(600)), User: paho.UserProperties{{Key: "k", Value: "v"}},
		}})
		c.subscribe(1, "archive")
		p := c.expect("archive", "x").Properties
		if p.ContentType != "text/plain" || p.User.Get("k") != "v" || p.MessageExpiry == nil {
			t.Errorf("properties %+v", p)
		}
		c.retain("archive", "")
	})
	t.Run("the remaining expiry interval is forwarded", func(t *testing.T) {
		t.Parallel()
		sub, pub := join5(t, addr, "remaining", expiring(600)), join5(t, addr, "remaining-pub")
		sub.subscribe(1, "remaining")
		remaining := func(p *peer5) uint32 {
			m := p.expect("remaining", "x")
			if m.Properties.MessageExpiry == nil {
				t.Fatal("no Message Expiry Interval")
			}
			return *m.Properties.MessageExpiry
		}
		expiry := func(s uint32) *paho.PublishProperties { return &paho.PublishProperties{MessageExpiry: &s} }
		began := time.Now()
		pub.publish("remaining", 1, "x", expiry(100))
		if got := remaining(sub); got > 100 || time.Duration(100-got)*time.Second > time.Since(began) {
			t.Errorf("%d of 100 s remain after %v", got, time.Since(began))
		}
		sub.depart()
		began = time.Now()
		pub.publish("remaining", 1, "x", expiry(100))
		elapse(t, addr, "remaining-clock", 2)
		again := join5(t, addr, "remaining", expiring(600))
		if got := remaining(again); got > 98 || time.Duration(100-got)*time.Second > time.Since(began) {
			t.Errorf("%d of 100 s remain after %v", got, time.Since(began))
		}
	})
	t.Run("an expired message is not delivered", func(t *testing.T) {
		t.Parallel()
		sub, pub := join5(t, addr, "expired", expiring(600)), join5(t, addr, "expired-pub")
		sub.subscribe(2, "expired/#")
		sub.depart()
		for qos := range byte(3) {
			pub.publish("expired/soon", qos, "too late", &paho.PublishProperties{MessageExpiry: pointer(uint32(1))})
		}
		pub.send(&paho.Publish{
			Topic: "expired/retained", QoS: 1, Retain: true, Payload: []byte("too late"),
			Properties: &paho.PublishProperties{MessageExpiry: pointer(uint32(1))},
		})
		pub.publish("expired/never", 1, "in time")
		elapse(t, addr, "expired-clock", 2)
		again := join5(t, addr, "expired", expiring(600))
		again.expect("expired/never", "in time")
		again.subscribe(1, "expired/retained")
		again.silent("expired-fence")
	})
	t.Run("acknowledgements say that nobody subscribes", func(t *testing.T) {
		t.Parallel()
		c := join5(t, addr, "lonely")
		for qos := byte(1); qos <= 2; qos++ {
			if rc := c.publish("lonely", qos, "x"); qos == 1 && rc != 0x10 {
				t.Errorf("QoS %d: 0x%02X, want 0x10", qos, rc)
			}
		}
		c.subscribe(2, "lonely")
		if rc := c.publish("lonely", 1, "x"); rc != 0 {
			t.Errorf("0x%02X, want 0x00", rc)
		}
	})
	t.Run("the largest packet of either side", func(t *testing.T) {
		t.Parallel()
		small := join5(t, addr, "small", asking(func(p *paho.ConnectProperties) { p.MaximumPacketSize = pointer(uint32(200)) }))
		small.subscribe(2, "large")
		pub := join5(t, addr, "small-pub")
		limit := pub.connack.Properties.MaximumPacketSize
		if limit == nil || *limit < 64<<10 {
			t.Fatalf("the broker's Maximum Packet Size is %v", limit)
		}
		for qos := range byte(3) {
			pub.publish("large", qos, strings.Repeat("x", 200))
			pub.publish("large", qos, fmt.Sprint("fits ", qos))
			small.expect("large", fmt.Sprint("fits ", qos))
		}
		header := 1 + 3 + 2 + len("large") + 2 + 1
		pub.publish("large", 1, strings.Repeat("x", int(*limit)-header))
		m := &paho.Publish{Topic: "large", QoS: 1, Payload: make([]byte, int(*limit)-header+1)}
		if _, err := pub.PublishWithOptions(pub.context(), m, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil {
			t.Fatal(err)
		}
		pub.dismissed(0x95)
	})
}

// elapse waits until the broker's clock has gone on by this many seconds:
// it ends a session then, which a will tells.
func elapse(t *testing.T, addr, id string, seconds uint32) {
	t.Helper()
	watcher := join5(t, addr, id+"-watcher")
	watcher.subscribe(1, "clock/"+id)
	late := paho.WillProperties{WillDelayInterval: pointer(seconds)}
	join5(t, addr, id, expiring(600), willing("clock/"+id, "now", late)).lose()
	watcher.expect("clock/"+id, "now")
}
