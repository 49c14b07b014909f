package broker

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUptimeIsWrittenAsEMQDoes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                     "0 seconds",
		59*time.Second + 999*time.Millisecond: "59 seconds",
		time.Minute:                           "1 minutes, 0 seconds",
		time.Hour + time.Second:               "1 hours, 0 minutes, 1 seconds",
		24*time.Hour - time.Second:            "23 hours, 59 minutes, 59 seconds",
		49*time.Hour + 3*time.Minute + 4*time.Second: "2 days,1 hours, 3 minutes, 4 seconds",
	} {
		if got := Uptime(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// said collects what the broker publishes.
type said struct {
	mu       sync.Mutex
	count    map[string]int
	last     map[string]string
	retained map[string]bool
}

func (s *said) publish(topic, payload string, retain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[topic]++
	s.last[topic], s.retained[topic] = payload, retain
}

func (s *said) times(topic string) int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[topic]
}

func inBroker(t *testing.T, interval time.Duration, f func(s *said, kill func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &said{count: map[string]int{}, last: map[string]string{}, retained: map[string]bool{}}
		m := new(metrics.Registry)
		m.Add(metrics.BytesReceived, 42)
		system := kernel.NewSystem(slog.New(slog.DiscardHandler))
		root, err := kernel.StartRoot(system, "node", []kernel.ChildSpec{Spec(Options{
			Node: "emqttd@host", Version: "2.0", Started: time.Now(), Interval: interval, Metrics: m, Publish: s.publish,
		})}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		f(s, func() { system.Root.Send(system.NewLocalPID("node/broker"), &kernel.Kill{}) })
		if err := kernel.StopRoot(context.Background(), system, root); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // virtual: the framework's timers run out
	})
}

func TestTheBrokerSaysItsTimeEverySecondAndTheRestEachInterval(t *testing.T) {
	inBroker(t, 10*time.Second, func(s *said, _ func()) {
		const prefix = "$SYS/brokers/emqttd@host/"
		time.Sleep(35*time.Second + time.Millisecond)
		if n := s.times(prefix + "uptime"); n != 35 {
			t.Errorf("uptime was said %d times in 35 s", n)
		}
		if got := s.last[prefix+"uptime"]; got != "35 seconds" {
			t.Errorf("uptime is %q", got)
		}
		if n := s.times(prefix + "version"); n != 3 {
			t.Errorf("version was said %d times in 35 s", n)
		}
		for topic, want := range map[string]string{
			"$SYS/brokers": "emqttd@host", prefix + "version": "2.0", prefix + "sysdescr": Description,
			prefix + "metrics/bytes/received": "42", prefix + "stats/clients/max": "0",
		} {
			if got := s.last[topic]; got != want {
				t.Errorf("%s is %q, want %q", topic, got, want)
			}
		}
		for topic, want := range map[string]bool{"$SYS/brokers": true, prefix + "version": true, prefix + "uptime": false} {
			if s.retained[topic] != want {
				t.Errorf("%s: retained %t", topic, s.retained[topic])
			}
		}
	})
}

func TestAKilledBrokerGoesOnWithOneClock(t *testing.T) {
	inBroker(t, 10*time.Second, func(s *said, kill func()) {
		for range 5 {
			time.Sleep(time.Second) // the kill meets the tick
			kill()
		}
		time.Sleep(2 * time.Second)
		before := s.times("$SYS/brokers/emqttd@host/uptime")
		time.Sleep(10 * time.Second)
		if n := s.times("$SYS/brokers/emqttd@host/uptime") - before; n != 10 {
			t.Errorf("uptime was said %d times in 10 s", n)
		}
	})
}

func TestWithoutAnIntervalTheBrokerIsSilent(t *testing.T) {
	inBroker(t, 0, func(s *said, _ func()) {
		time.Sleep(time.Hour)
		if synctest.Wait(); len(s.count) != 0 {
			t.Errorf("it said %v", s.count)
		}
	})
}
