package flapping

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/tests/plugintest"
)

func TestAClientThatComesAndGoesIsBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := plugintest.Start(t, Plugin(), plugins.Settings{"flapping.count": "3", "flapping.window": "10s"})
		for range 10 { // never three within ten seconds
			r.Hooks.Disconnected(&hooks.Client{ID: "calm"}, "closed")
			time.Sleep(6 * time.Second)
		}
		for range 3 {
			r.Hooks.Disconnected(&hooks.Client{ID: "wild"}, "closed")
		}
		if got := <-r.Banned; got != "wild: flapping: 3 disconnects within 10s" {
			t.Errorf("banned %q", got)
		}
		synctest.Wait()
		if len(r.Banned) > 0 {
			t.Errorf("banned %q too", <-r.Banned)
		}
	})
}

func TestAFloodOfClientsDoesNotFillTheMemory(t *testing.T) {
	w := &watch{count: 2, window: time.Minute, clients: map[string]*watched{}}
	now := time.Now()
	for i := range most + 10 {
		w.gone(strconv.Itoa(i), now)
	}
	if len(w.clients) > most {
		t.Errorf("%d clients are watched", len(w.clients))
	}
	if w.gone("late", now); len(w.clients) > most {
		t.Errorf("%d clients are watched", len(w.clients))
	}
	w.gone("later", now.Add(time.Hour))
	if len(w.clients) != 1 {
		t.Errorf("%d are left when their window is over", len(w.clients))
	}
}
