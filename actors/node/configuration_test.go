package node

import (
	"testing"

	"emqttd/actors/configuration"
	"emqttd/config"
)

// TestEveryLiveKeyIsOfAPart: a key that is live has a part which is told of it, and a
// part has one.
func TestEveryLiveKeyIsOfAPart(t *testing.T) {
	parts := new(Node).parts()
	of := func(key string) (n int) {
		for i := range parts {
			if parts[i].Concerns(key) {
				n++
			}
		}
		return n
	}
	for _, k := range config.Keys() {
		if live := k.Live() == config.AtOnce || k.Live() == config.NewConnections; live && of(k.Name) == 0 {
			t.Errorf("%s is live, but no part is told of it", k.Name)
		}
	}
	for _, p := range parts {
		used := false
		for _, k := range config.Keys() {
			used = used || (&configuration.Part{Keys: p.Keys}).Concerns(k.Name) && k.Live() != config.NeedsRestart
		}
		if !used {
			t.Errorf("%s has no key that is live", p.Name)
		}
	}
}
