package clients

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

func willCases(t *testing.T, addr string) {
	delay := func(s uint32) paho.WillProperties { return paho.WillProperties{WillDelayInterval: &s} }
	watch := func(t *testing.T, topic string) *peer5 {
		watcher := join5(t, addr, topic+"-watcher")
		watcher.subscribe(1, topic)
		return watcher
	}
	t.Run("DISCONNECT with will message publishes the will, a plain one does not", func(t *testing.T) {
		t.Parallel()
		watcher := watch(t, "will/bye")
		join5(t, addr, "bye-plain", willing("will/bye", "plain", paho.WillProperties{})).leave(0)
		join5(t, addr, "bye-will", willing("will/bye", "with will", paho.WillProperties{})).leave(4)
		watcher.expect("will/bye", "with will")
		watcher.silent("will/bye-fence")
	})
	t.Run("a will waits for its delay", func(t *testing.T) {
		t.Parallel()
		watcher := watch(t, "will/late")
		c := join5(t, addr, "late", expiring(600), willing("will/late", "late", delay(1)))
		lost := time.Now()
		c.lose()
		watcher.expect("will/late", "late")
		if d := time.Since(lost); d < time.Second {
			t.Errorf("it came after %v, before its delay of 1 s", d)
		}
	})
	t.Run("a client that comes back in time has no will published", func(t *testing.T) {
		t.Parallel()
		watcher := watch(t, "will/back")
		c := join5(t, addr, "back", expiring(600), willing("will/back", "of the first connection", delay(1)))
		c.lose()
		c = join5(t, addr, "back", expiring(600), willing("will/back", "of the second connection", delay(0)))
		elapse(t, addr, "back-clock", 3)
		c.lose()
		watcher.expect("will/back", "of the second connection")
	})
	t.Run("a will with a delay does not speak of a take-over, one without does", func(t *testing.T) {
		t.Parallel()
		watcher := watch(t, "will/taken")
		one := join5(t, addr, "taken", expiring(600), willing("will/taken", "one", delay(1)))
		two := join5(t, addr, "taken", expiring(600), willing("will/taken", "two", delay(0)))
		one.dismissed(0x8e)
		join5(t, addr, "taken", expiring(600))
		two.dismissed(0x8e)
		watcher.expect("will/taken", "two")
		elapse(t, addr, "taken-clock", 3)
		watcher.silent("will/taken-fence")
	})
	t.Run("the end of the session ends the delay", func(t *testing.T) {
		t.Parallel()
		watcher := watch(t, "will/end")
		join5(t, addr, "end-1", willing("will/end", "with the connection", delay(600))).lose()
		watcher.expect("will/end", "with the connection")
		join5(t, addr, "end-2", expiring(1), willing("will/end", "by expiry", delay(600))).lose()
		watcher.expect("will/end", "by expiry")
		join5(t, addr, "end-3", expiring(600), willing("will/end", "by clean start", delay(600))).lose()
		join5(t, addr, "end-3")
		watcher.expect("will/end", "by clean start")
	})
}
