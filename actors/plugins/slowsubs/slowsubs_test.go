package slowsubs

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/tests/plugintest"
)

func TestTheSlowestClientsAreListedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := plugintest.Start(t, Plugin(), plugins.Settings{"slow_subscribers.threshold": "1s", "slow_subscribers.top": "2", "slow_subscribers.expire": "1m"})
		old := func(d time.Duration, qos protocol.QoS) *protocol.Message {
			return &protocol.Message{Topic: "t", QoS: qos, Arrived: time.Now().Add(-d).UnixMilli()}
		}
		r.Hooks.Acked(&hooks.Client{ID: "quick"}, old(time.Second/2, 1))
		r.Hooks.Delivered(&hooks.Client{ID: "waits for the acknowledgement"}, old(time.Hour, 1))
		for i := range 3 {
			r.Hooks.Acked(&hooks.Client{ID: fmt.Sprintf("c%d", i)}, old(time.Duration(i+2)*time.Second, 2))
		}
		r.Hooks.Delivered(&hooks.Client{ID: "c1"}, old(9*time.Second, 0))
		want := "SlowSubscriber(c1, topic=t, delay=9s, ago=0s)\nSlowSubscriber(c2, topic=t, delay=4s, ago=0s)\n"
		if text, code := r.Run("slow-subscribers", "list"); code != 0 || text != want {
			t.Errorf("%d:\n%s", code, text)
		}
		time.Sleep(2 * time.Minute)
		if text, _ := r.Run("slow-subscribers", "list"); text != "" {
			t.Errorf("after its time: %s", text)
		}
		r.Hooks.Acked(&hooks.Client{ID: "c"}, old(time.Minute, 1))
		r.Run("slow-subscribers", "clear")
		if text, _ := r.Run("slow-subscribers", "list"); strings.Contains(text, "c") {
			t.Errorf("after clear: %s", text)
		}
	})
}
