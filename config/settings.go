package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Setting is one key with its value as a file would say it. A secret is masked.
type Setting struct {
	Key   string
	Value string
	Type  string
	Live  Liveness

	raw string // Value, not masked
}

// Settings are all that are in force: every supported key in the order of Keys,
// then the listeners.
func (c *Config) Settings() []Setting {
	var list []Setting
	add := func(key string, k *Key, value, raw string) {
		if k.Secret && value != "" {
			value = mask
		}
		list = append(list, Setting{Key: key, Value: value, Type: k.Kind.String(), Live: k.Live(), raw: raw})
	}
	field := func(key string, k *Key, f reflect.Value) {
		value := k.format(f.Interface())
		raw := value
		if k.Secret {
			raw = f.String() // a Secret masks itself
		}
		add(key, k, value, raw)
	}
	for _, k := range known().keys {
		if index, ok := bound().config[k.Name]; ok {
			field(k.Name, k, reflect.ValueOf(c).Elem().FieldByIndex(index))
		} else if m := memberOf[k.Name]; m != nil {
			raw := m.lines(c, func(s Secret) string { return string(s) })
			for i, l := range m.lines(c, Secret.String) {
				key, value, _ := strings.Cut(l, " = ")
				add(key, k, value, raw[i])
			}
		}
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		for _, k := range optionsOf(l.Type) {
			if k.Kind == Access {
				for _, r := range l.Access {
					add(fmt.Sprintf("%s.access.%d", l.Key(), r.Number), k, r.String(), r.String())
				}
				continue
			}
			name := optionName(k)
			index := bound().listener[cmp.Or(strings.TrimPrefix(name, "."), "address")]
			field(l.Key()+name, k, reflect.ValueOf(l).Elem().FieldByIndex(index))
		}
	}
	return list
}

// optionsOf are the supported keys of listeners of a type, their address first.
func optionsOf(typ string) (keys []*Key) {
	for _, k := range known().keys {
		if strings.HasPrefix(k.Name, "listener."+typ+".$name") && k.Status == Supported {
			keys = append(keys, k)
		}
	}
	return keys
}

// optionName is what stands behind the listener's name in a key: .acceptors, or
// nothing for the address.
func optionName(k *Key) string {
	_, option, _ := strings.Cut(k.Name, ".$name")
	return option
}

// Dump writes the settings that are in force as a configuration file: every
// supported key in the order of Keys, with secrets masked.
func (c *Config) Dump() string {
	var b strings.Builder
	for _, s := range c.Settings() {
		if s.Value == "" {
			fmt.Fprintf(&b, "%s =\n", s.Key)
		} else {
			fmt.Fprintf(&b, "%s = %s\n", s.Key, s.Value)
		}
	}
	return b.String()
}

// Change is a key with another value than before. A secret is masked, so that both
// values of one look the same.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"` // as a file would say it; empty where it was not set
	To   string `json:"to"`
	// Live is when the new value is in force.
	Live Liveness `json:"live"`
}

// Changes are the keys in which two configurations differ: those of to in its
// order, then those that only from has.
func Changes(from, to *Config) []Change {
	var list []Change
	before := map[string]Setting{}
	for _, s := range from.Settings() {
		before[s.Key] = s
	}
	now := to.Settings()
	for _, s := range now {
		old, had := before[s.Key]
		if delete(before, s.Key); !had || old.raw != s.raw {
			list = append(list, Change{s.Key, old.Value, s.Value, s.Live})
		}
	}
	for _, s := range from.Settings() {
		if _, gone := before[s.Key]; gone {
			list = append(list, Change{s.Key, s.Value, "", s.Live})
		}
	}
	return list
}

// Follow is what a node runs with that ran with c until next came: what is live of
// next, and c for what needs a restart.
func (c *Config) Follow(next *Loaded) *Config {
	out := *next.Config
	out.Node.Home = c.Node.Home
	to, from := reflect.ValueOf(&out).Elem(), reflect.ValueOf(c).Elem()
	for _, k := range known().keys {
		if index, ok := bound().config[k.Name]; ok && k.Live() == NeedsRestart {
			to.FieldByIndex(index).Set(from.FieldByIndex(index))
		}
	}
	// Members of lists need a restart, all of them.
	out.Durability = c.Durability
	out.Auth.Users, out.Auth.Clients, out.Auth.Sources = c.Auth.Users, c.Auth.Clients, c.Auth.Sources
	out.Auth.Mongo.ACLSelectors = c.Auth.Mongo.ACLSelectors
	if next.settings["mqtt.allow_anonymous"].Where == "" {
		// It depends on modules then, and those are still the ones of before.
		out.MQTT.AllowAnonymous = len(c.Access.Modules) == 0
	}
	out.Listeners = slices.Clone(c.Listeners) // those that are there stay
	for i := range out.Listeners {
		l := &out.Listeners[i]
		for j := range next.Config.Listeners {
			if l.Key() == next.Config.Listeners[j].Key() {
				l.follow(&next.Config.Listeners[j])
			}
		}
	}
	return &out
}

// follow takes those options of next that are live.
func (l *Listener) follow(next *Listener) {
	for _, k := range optionsOf(l.Type) {
		switch index := bound().listener[strings.TrimPrefix(optionName(k), ".")]; {
		case k.Live() == NeedsRestart:
		case k.Kind == Access:
			l.Access = next.Access
		case index != nil:
			reflect.ValueOf(l).Elem().FieldByIndex(index).Set(reflect.ValueOf(next).Elem().FieldByIndex(index))
		}
	}
}
