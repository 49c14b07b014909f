package config

import (
	"strings"
	"testing"
)

func TestRegistryIsConsistent(t *testing.T) {
	names := map[string]string{}
	claim := func(name, by string) {
		if other, taken := names[name]; taken {
			t.Errorf("%s belongs to %s and to %s", name, other, by)
		}
		names[name] = by
	}
	sections := map[string]bool{}
	section := ""
	for _, k := range Keys() {
		claim(k.Name, k.Name)
		for _, a := range k.Aliases {
			claim(a, k.Name)
		}
		if message := checkKey(k.Name); message != "" {
			t.Errorf("%s: %s", k.Name, message)
		}
		if k.Section != section && sections[k.Section] {
			t.Errorf("%s: section %s appears twice", k.Name, k.Section)
		}
		section = k.Section
		sections[section] = true
		if k.Section == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: section %q, doc %q", k.Name, k.Section, k.Doc)
		}
		if (k.Reason == "") != (k.Status == Supported) {
			t.Errorf("%s is %s, with the reason %q", k.Name, k.Status, k.Reason)
		}
		if (len(k.Values) > 0) != (k.Kind == Enum) {
			t.Errorf("%s: type %s with words %q", k.Name, k.Kind, k.Values)
		}
		if k.Default != "" && !strings.Contains(k.Default, "{{") {
			if _, err := k.parse(k.Default); err != nil {
				t.Errorf("%s = %s: %v", k.Name, k.Default, err)
			}
		}
	}
	if len(names) < 300 {
		t.Errorf("only %d names", len(names))
	}
}

func TestEverySupportedKeyHasAFieldAndEveryFieldAKey(t *testing.T) {
	unused := map[string]bool{}
	for key := range bound().config {
		unused[key] = true
	}
	for _, k := range Keys() {
		if k.isPattern() {
			_, option, isOption := strings.Cut(k.Name, ".$name.")
			if isOption && k.Status == Supported && bound().listener[option] == nil {
				t.Errorf("Listener has no field for %s", k.Name)
			}
			continue
		}
		_, has := bound().config[k.Name]
		if has != (k.Status == Supported) {
			t.Errorf("%s is %s; it has a field: %v", k.Name, k.Status, has)
		}
		delete(unused, k.Name)
	}
	for key := range unused {
		t.Errorf("no key %s for its field", key)
	}
	for option := range bound().listener {
		if option != "address" && lookup("listener.wss.x."+option) == nil {
			t.Errorf("no key listener.wss.$name.%s for its field", option)
		}
	}
}

func TestLookupPrefersLiteralWords(t *testing.T) {
	tests := map[string]string{
		"listener.tcp.a":                   "listener.tcp.$name",
		`listener.tcp.a\.b.acceptors`:      "listener.tcp.$name.acceptors",
		"listener.tcp.a.access.7":          "listener.tcp.$name.access.$n",
		"mqtt.listener.tcp":                "",
		"module.subscription.backend":      "module.subscription.backend",
		"auth.client.password":             "auth.client.$id",
		"auth.client.1.password":           "auth.client.$n.password",
		"listener.tcp":                     "",
		"listener.udp.a":                   "",
		"web.hook.rule.message.acked.1":    "web.hook.rule.message.acked.$n",
		"auth.mongo.acl_query.selector.12": "auth.mongo.acl_query.selector.$n",
	}
	for key, want := range tests {
		got := ""
		if k := lookup(key); k != nil {
			got = k.Name
		}
		if got != want {
			t.Errorf("lookup(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestOldNamesBecomeTheNewOnes(t *testing.T) {
	tests := map[string]string{
		"mqtt.listener.tcp":             "listener.tcp.external",
		"mqtt.listener.tcp.acceptors":   "listener.tcp.external.acceptors",
		"mqtt.listener.http":            "listener.ws.external",
		"mqtt.listener.https.certfile":  "listener.wss.external.certfile",
		"mqtt.listener.tcpx":            "mqtt.listener.tcpx",
		"mqtt.queue.qos0":               "mqtt.mqueue.store_qos0",
		"mqtt.client_idle_timeout":      "mqtt.client.idle_timeout",
		"mqtt.session.expired_after":    "mqtt.session.expiry_interval",
		"mqtt.session.collect_interval": "mqtt.session.enable_stats",
		"module.retainer.expired_after": "retainer.expiry_interval",
		"cluster.id":                    "cluster.name",
		"auth.mongo.user":               "auth.mongo.login",
		"mqtt.max_packet_size":          "mqtt.max_packet_size",
	}
	for key, want := range tests {
		if got := canonical(key); got != want {
			t.Errorf("canonical(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestNearestSuggestsWhatWasMeant(t *testing.T) {
	tests := map[string]string{
		"mqtt.max_paket_size":           "mqtt.max_packet_size",
		"mqtt.queue.qos":                "mqtt.queue.qos0",
		"lisener.tcp.external":          "listener.tcp.external",
		"listener.tcp.plant7.acceptor":  "listener.tcp.plant7.acceptors",
		"mqtt.listner.tcp":              "mqtt.listener.tcp",
		"node.nmae":                     "node.name",
		"completely.different.from.all": "",
		"x":                             "",
	}
	for key, want := range tests {
		if got := nearest(key); got != want {
			t.Errorf("nearest(%q) = %q, want %q", key, got, want)
		}
	}
}
