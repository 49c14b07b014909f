package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// decoder turns the merged settings into a Config.
type decoder struct {
	*loader
	settings map[string]setting // by canonical key
}

// fields tells where the value of a key lives: the index of a field of Config
// by key, and of a field of Listener by option.
type fields struct {
	config, listener map[string][]int
}

var bound = sync.OnceValue(func() fields {
	f := fields{map[string][]int{}, map[string][]int{}}
	bind(f.config, reflect.TypeFor[Config](), "", nil)
	bind(f.listener, reflect.TypeFor[Listener](), "", nil)
	return f
})

// bind walks the conf tags of a struct.
func bind(to map[string][]int, t reflect.Type, prefix string, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("conf")
		if tag == "-" || f.Type == reflect.TypeFor[[]Listener]() {
			continue
		}
		index := append(slices.Clip(at), i)
		switch {
		case f.Anonymous:
			bind(to, f.Type, prefix, index)
		case f.Type.Kind() == reflect.Struct:
			bind(to, f.Type, prefix+tag+".", index)
		default:
			to[strings.TrimSuffix(prefix+tag, ".")] = index // an empty tag: the struct's own name
		}
	}
}

// decode goes through all settings in their order: it binds what is supported,
// and reports what is not.
func (d *decoder) decode() *Config {
	cfg := &Config{}
	inOrder := slices.SortedFunc(maps.Values(d.settings), func(a, b setting) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Key, b.Key))
	})
	for _, s := range inOrder {
		if words := split(s.Key); words[0] == "listener" && len(words) == 3 {
			d.addListener(cfg, s, words)
		}
	}
	orphans := map[string]bool{}
	for _, s := range inOrder {
		k := lookup(s.Key)
		switch {
		case k.Status == Ignored:
			d.report(s, NoEffect, "ignored: "+k.Reason)
		case k.Status >= NotYet:
			d.refuse(s, k)
		case k.isPattern() && !strings.HasPrefix(s.Key, "listener."):
			d.addMember(cfg, s, k)
		case !strings.HasPrefix(s.Key, "listener."):
			d.set(reflect.ValueOf(cfg).Elem().FieldByIndex(bound().config[s.Key]), k, s)
		default:
			d.setOption(cfg, s, k, orphans)
		}
	}
	d.finishAccess(cfg, inOrder)
	return cfg
}

func (d *decoder) report(s setting, c Cause, message string) {
	d.problems.add(Problem{Where: s.Where, Key: s.Written, Cause: c, Message: message, seq: s.Seq})
}

// refuse reports a feature that does not exist, unless the value asks for
// nothing or the listener's address has been refused already.
func (d *decoder) refuse(s setting, k *Key) {
	if k.harmless(s.Value) {
		return
	}
	if words := split(s.Key); words[0] == "listener" && len(words) > 3 {
		root := lookup(strings.Join(words[:3], "."))
		if _, named := d.settings[strings.Join(words[:3], ".")]; named && root.Status == NotYet {
			return
		}
	}
	d.report(s, NotSupplied, k.refusal())
}

// refusal is the sentence that refuses the key.
func (k *Key) refusal() string {
	if k.Status == OfPlugin {
		return fmt.Sprintf("belongs in etc/plugins/%s.conf", k.Reason)
	}
	if len(k.Harmless) > 0 {
		return fmt.Sprintf("this version has no %s; remove the setting, or make it %q", k.Reason, k.Harmless[0])
	}
	return fmt.Sprintf("this version has no %s; remove the setting", k.Reason)
}

// addListener makes a listener of its address, with the defaults of its type.
func (d *decoder) addListener(cfg *Config, s setting, words []string) {
	k := lookup(s.Key)
	if k.Status != Supported {
		return
	}
	l := Listener{Type: words[1], Name: unescape(words[2])}
	prefix := k.Name + "."
	for _, o := range known().keys {
		if option, ok := strings.CutPrefix(o.Name, prefix); ok && o.Status == Supported && !strings.Contains(option, "$") {
			f := reflect.ValueOf(&l).Elem().FieldByIndex(bound().listener[option])
			d.set(f, o, setting{Key: o.Name, Value: o.Default})
		}
	}
	cfg.Listeners = append(cfg.Listeners, l)
}

// setOption sets the address or an option of a listener.
func (d *decoder) setOption(cfg *Config, s setting, k *Key, orphans map[string]bool) {
	words := split(s.Key)
	root, option := strings.Join(words[:3], "."), "address"
	if len(words) > 3 {
		option = words[3]
	}
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Key() == root {
			if k.Kind == Access {
				d.addAccess(l, k, s)
				return
			}
			d.set(reflect.ValueOf(l).Elem().FieldByIndex(bound().listener[option]), k, s)
			return
		}
	}
	if !orphans[root] {
		orphans[root] = true
		d.report(s, Conflict, fmt.Sprintf("the listener has no address: add `%s = IP:port`, or remove its options", root))
	}
}

// set parses the value into the field.
func (d *decoder) set(field reflect.Value, k *Key, s setting) {
	text := s.Value
	if s.Where == "" {
		text = d.resolveDefault(text)
	}
	if feature, missing := k.Missing[text]; missing {
		d.report(s, NotSupplied, fmt.Sprintf("this version has no %s; make it one of %s", feature, strings.Join(k.Values, ", ")))
		return
	}
	v, err := k.parse(text)
	if err != nil {
		d.report(s, BadValue, err.Error()+k.got(text))
		return
	}
	if word, ok := v.(string); ok && field.Kind() == reflect.Bool {
		v = word == k.Values[1] // an Enum of two words: no and yes
	}
	field.Set(reflect.ValueOf(v).Convert(field.Type())) // a Secret is a string, too
}

// resolveDefault fills in the other key that a default refers to.
func (d *decoder) resolveDefault(text string) string {
	rest, ok := strings.CutPrefix(text, "{{ ")
	if !ok {
		return text
	}
	key, rest, _ := strings.Cut(rest, " }}")
	return d.settings[key].Value + rest
}

// got repeats a bad value, unless it is a secret.
func (k *Key) got(text string) string {
	const enough = 80
	switch {
	case k.Secret:
		return ""
	case text == "":
		return "; there is no value"
	case len(text) > enough:
		text = strings.ToValidUTF8(text[:enough], "") + "…"
	}
	return fmt.Sprintf("; got %q", text)
}

// String is Dump, so that printing a Config shows no secret.
func (c Config) String() string { return c.Dump() }

// GoString is Dump, for %#v.
func (c Config) GoString() string { return c.Dump() }

// String is the node's name, so that printing a Node shows no secret.
func (n Node) String() string { return n.Name }

// GoString is the node's name, for %#v.
func (n Node) GoString() string { return n.Name }
