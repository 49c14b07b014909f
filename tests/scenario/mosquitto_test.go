package scenario

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

// mosquitto runs mosquitto's clients against one broker.
type mosquitto struct {
	t          *testing.T
	host, port string
}

func newMosquitto(t *testing.T, addr string) mosquitto {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return mosquitto{t, host, port}
}

func (m mosquitto) args(more []string) []string {
	return append([]string{"-h", m.host, "-p", m.port}, more...)
}

// pub publishes and waits until it is done.
func (m mosquitto) pub(args ...string) {
	m.t.Helper()
	if o := testkit.Run(m.t, "mosquitto_pub", m.args(args)...); o.Code != 0 {
		m.t.Fatalf("mosquitto_pub %v: exit %d\n%s%s", args, o.Code, o.Stdout, o.Stderr)
	}
}

// sub starts a subscriber that prints topic|qos|retain|payload of each message,
// and returns when its subscription is in effect.
func (m mosquitto) sub(args ...string) *testkit.Process {
	m.t.Helper()
	name, all := "mosquitto_sub", append([]string{"-d", "-F", "%t|%q|%r|%p"}, m.args(args)...)
	if path, err := exec.LookPath("stdbuf"); err == nil { // else its lines come when a buffer is full
		name, all = path, append([]string{"-oL", "mosquitto_sub"}, all...)
	}
	p := testkit.Launch(m.t, name, all...)
	p.Await("Subscribed (mid: 1)")
	return p
}

// messages are the lines of a subscriber that are messages.
func messages(p *testkit.Process) []string {
	var lines []string
	for line := range strings.Lines(p.Output()) {
		if strings.Count(line, "|") == 3 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestMosquittoClientsExchangeMessages(t *testing.T) {
	home := testkit.NewHome(t)
	home.Foreground()

	t.Run("every pair of QoS levels is delivered at the lower one", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		for _, granted := range []string{"0", "1", "2"} {
			s := m.sub("-t", "qos/"+granted, "-q", granted, "-C", "3")
			for _, published := range []string{"0", "1", "2"} {
				m.pub("-t", "qos/"+granted, "-m", "p"+published, "-q", published)
			}
			if code := s.Wait(); code != 0 {
				t.Fatalf("mosquitto_sub: exit %d", code)
			}
			for i, line := range messages(s) {
				published := string(rune('0' + i))
				want := "qos/" + granted + "|" + min(granted, published) + "|0|p" + published
				if line != want {
					t.Errorf("got %s, want %s", line, want)
				}
			}
		}
	})

	t.Run("the first command of the README", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		s := m.sub("-t", "a/#", "-v", "-C", "1")
		m.pub("-t", "a/b", "-m", "hi", "-q", "2")
		s.Wait()
		s.Await("a/b|0|0|hi")
	})

	t.Run("retained messages reach who subscribes later, by wildcards too", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		m.pub("-t", "house/1/temp", "-m", "21", "-r", "-q", "1")
		m.pub("-t", "house/2/temp", "-m", "19", "-r", "-q", "1")
		s := m.sub("-t", "house/+/temp", "-q", "1", "-C", "2")
		s.Wait()
		for _, want := range []string{"house/1/temp|1|1|21", "house/2/temp|1|1|19"} {
			s.Await(want)
		}
		m.pub("-t", "house/1/temp", "-n", "-r", "-q", "1") // [MQTT-3.3.1-10]
		m.pub("-t", "house/2/temp", "-n", "-r", "-q", "1")
		late := m.sub("-t", "house/#", "-t", "marker/house", "-C", "1")
		m.pub("-t", "marker/house", "-m", "x")
		late.Wait()
		if got := messages(late); len(got) != 1 || got[0] != "marker/house|0|0|x" {
			t.Errorf("an empty retained message did not clear: %v", got)
		}
	})

	t.Run("the will is published when the client is killed", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		watcher := m.sub("-t", "wills/#", "-q", "1", "-C", "1")
		victim := m.sub("-i", "victim", "-t", "x", "--will-topic", "wills/victim", "--will-payload", "gone", "--will-qos", "1")
		victim.Kill()
		watcher.Wait()
		watcher.Await("wills/victim|1|0|gone")
	})

	t.Run("a persistent session keeps messages across a reconnect", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		away := m.sub("-i", "keeper", "-c", "-t", "kept/#", "-q", "2")
		away.Kill()
		m.pub("-t", "kept/1", "-m", "1", "-q", "1")
		m.pub("-t", "kept/2", "-m", "2", "-q", "2")
		back := testkit.Launch(t, "mosquitto_sub", m.args([]string{
			"-i", "keeper", "-c", "-t", "kept/#", "-q", "2", "-C", "2", "-F", "%t|%q|%r|%p",
		})...)
		back.Wait()
		if got := strings.Join(messages(back), " "); got != "kept/1|1|0|1 kept/2|2|0|2" {
			t.Errorf("got %s", got)
		}
	})

	t.Run("a second client of the same identifier takes over", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		m.sub("-i", "twin", "-t", "twin")
		second := m.sub("-i", "twin", "-t", "twin", "-C", "1")
		m.pub("-t", "twin", "-m", "to the second", "-q", "1")
		second.Wait()
		second.Await("twin|0|0|to the second")
	})

	t.Run("each message goes to one member of a shared group", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		const each = 20
		a := m.sub("-t", "$share/g/jobs/+", "-t", "done", "-q", "1")
		b := m.sub("-t", "$share/g/jobs/+", "-t", "done", "-q", "1")
		for i := range each {
			m.pub("-t", "jobs/"+string(rune('a'+i)), "-m", "job", "-q", "1")
		}
		m.pub("-t", "done", "-m", "end", "-q", "1")
		a.Await("done|1|0|end")
		b.Await("done|1|0|end")
		counts := map[string]int{}
		for _, line := range append(messages(a), messages(b)...) {
			counts[line]++
		}
		delete(counts, "done|1|0|end")
		if len(counts) != each {
			t.Errorf("%d jobs of %d arrived", len(counts), each)
		}
		for line, n := range counts {
			if n != 1 {
				t.Errorf("%s arrived %d times", line, n)
			}
		}
	})

	t.Run("MQTT 3.1 clients are served", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		s := m.sub("-V", "mqttv31", "-i", "old-sub", "-t", "old/#", "-q", "2", "-C", "1")
		m.pub("-V", "mqttv31", "-i", "old-pub", "-t", "old/1", "-m", "hello", "-q", "2")
		s.Wait()
		s.Await("old/1|2|0|hello")
	})

	t.Run("a large payload arrives whole", func(t *testing.T) {
		m := newMosquitto(t, home.MQTT)
		payload := strings.Repeat("0123456789abcdef", 3000)
		s := m.sub("-t", "large", "-q", "1", "-C", "1")
		m.pub("-t", "large", "-m", payload, "-q", "1")
		s.Wait()
		s.Await("large|1|0|" + payload + "\n")
	})
}
