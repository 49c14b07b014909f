package clients

import (
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

func sessionCases(t *testing.T, addr string) {
	t.Run("a session outlives its connection for its expiry interval", func(t *testing.T) {
		t.Parallel()
		first := join5(t, addr, "keeper", expiring(600))
		if first.connack.SessionPresent {
			t.Error("a session is present before the first connection")
		}
		first.subscribe(2, "keep/#")
		first.depart()
		pub := join5(t, addr, "keeper-pub")
		for i := range 30 {
			pub.publish("keep/it", byte(i%3), fmt.Sprint(i))
		}
		second := join5(t, addr, "keeper", expiring(600))
		if !second.connack.SessionPresent {
			t.Error("no session is present")
		}
		for i := range 30 {
			if m := second.expect("keep/it", fmt.Sprint(i)); m.QoS != byte(i%3) {
				t.Errorf("message %d came with QoS %d", i, m.QoS)
			}
		}
	})
	t.Run("clean start discards the session and its queue", func(t *testing.T) {
		t.Parallel()
		first := join5(t, addr, "fresh", expiring(600))
		first.subscribe(1, "fresh/+")
		first.depart()
		join5(t, addr, "fresh-pub").publish("fresh/old", 1, "old")
		second := join5(t, addr, "fresh", expiring(600), func(_ *paho.ClientConfig, c *paho.Connect) { c.CleanStart = true })
		if second.connack.SessionPresent {
			t.Error("the session is present after a clean start")
		}
		second.publish("fresh/new", 1, "nobody subscribes to it")
		second.silent("fresh-fence")
	})
	t.Run("without an expiry interval the session ends with its connection", func(t *testing.T) {
		t.Parallel()
		first := join5(t, addr, "mayfly", func(_ *paho.ClientConfig, c *paho.Connect) { c.CleanStart = false })
		first.subscribe(1, "mayfly")
		first.lose()
		if join5(t, addr, "mayfly", expiring(600)).connack.SessionPresent {
			t.Error("a session is present")
		}
	})
	t.Run("a session is gone when its interval is over", func(t *testing.T) {
		t.Parallel()
		watcher := join5(t, addr, "brief-watcher")
		watcher.subscribe(1, "brief/will")
		// The will waits for longer than the session lives, so it tells of its end.
		first := join5(t, addr, "brief", expiring(1), willing("brief/will", "over", paho.WillProperties{WillDelayInterval: pointer(uint32(600))}))
		first.lose()
		watcher.expect("brief/will", "over")
		if join5(t, addr, "brief", expiring(600)).connack.SessionPresent {
			t.Error("a session is present")
		}
	})
	t.Run("DISCONNECT alters the expiry interval", func(t *testing.T) {
		t.Parallel()
		first := join5(t, addr, "altered", expiring(600))
		first.subscribe(1, "altered")
		first.depart(0)
		if join5(t, addr, "altered", expiring(600)).connack.SessionPresent {
			t.Error("a session is present")
		}
	})
	t.Run("a client without identifier is given one", func(t *testing.T) {
		t.Parallel()
		one, two := join5(t, addr, ""), join5(t, addr, "")
		a, b := one.connack.Properties.AssignedClientID, two.connack.Properties.AssignedClientID
		if a == "" || b == "" || a == b {
			t.Fatalf("assigned %q and %q", a, b)
		}
		again := join5(t, addr, a)
		one.dismissed(0x8e)
		if id := again.connack.Properties.AssignedClientID; id != "" {
			t.Errorf("a client with an identifier was assigned %q", id)
		}
	})
	t.Run("a client that is taken over is told", func(t *testing.T) {
		t.Parallel()
		first := join5(t, addr, "twin5")
		join5(t, addr, "twin5").silent("twin5-fence")
		if d := first.dismissed(0x8e); d.Properties.ReasonString == "" {
			t.Error("no reason string")
		}
	})
}
