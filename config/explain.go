package config

import (
	"cmp"
	"reflect"
	"strings"
)

// Explanation is all that is known of one key.
type Explanation struct {
	Key     string `json:"key"`
	Value   string `json:"value"` // a secret is masked
	Default string `json:"default"`
	// Layer is where the value comes from: default, file, plugin file, environment
	// or flag; Where is the place in it, such as etc/emq.conf:12.
	Layer string `json:"layer"`
	Where string `json:"where"`
	Type  string `json:"type"`
	// Range is what values there may be, where the type does not say it.
	Range   string   `json:"range"`
	Live    Liveness `json:"live"`
	Meaning string   `json:"meaning"`
	// Note is why the value is not asked for, of keys that are accepted or refused.
	Note string `json:"note,omitempty"`
}

// Explain tells all about a key, under its present or a former name. The error of
// an unknown one names the nearest.
func (l *Loaded) Explain(key string) (Explanation, error) {
	name := canonical(key)
	k := lookup(name)
	if k == nil {
		return Explanation{}, unknownKey(key)
	}
	e := Explanation{
		Key: name, Default: k.Default, Layer: LayerDefault, Type: k.Kind.String(), Range: k.valueRange(), Live: k.Live(), Meaning: k.Doc,
	}
	if s, ok := l.settings[name]; ok {
		e.Value, e.Layer, e.Where = s.Value, s.Layer, s.Where
	}
	for _, s := range l.Config.Settings() {
		if s.Key == name {
			e.Value = s.Value
		}
	}
	if k.Secret {
		e.Value, e.Default = Secret(e.Value).String(), Secret(e.Default).String()
	}
	switch k.Status {
	case Ignored:
		e.Note = "ignored: " + k.Reason
	case NotYet, OfPlugin:
		e.Note = k.refusal()
	}
	return e, nil
}

func unknownKey(key string) *Problem {
	return &Problem{Key: key, Cause: UnknownKey, Message: "unknown key", Nearest: nearest(key)}
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.String() }

// valueRange says which values there may be.
func (k *Key) valueRange() string {
	if k.Kind == Enum {
		return strings.Join(k.Values, ", ")
	}
	var tag string
	if index, ok := bound().config[k.Name]; ok {
		tag = reflect.TypeFor[Config]().FieldByIndex(index).Tag.Get("validate")
	} else if strings.HasPrefix(k.Name, "listener.") {
		option := cmp.Or(strings.TrimPrefix(optionName(k), "."), "address")
		if index, ok := bound().listener[option]; ok {
			tag = reflect.TypeFor[Listener]().FieldByIndex(index).Tag.Get("validate")
		}
	}
	return rangeOf(tag)
}

// rangeOf reads a validate tag: omitempty,min=1s is "0, or from 1s".
func rangeOf(tag string) string {
	var parts []string
	zero := false
	for rule := range strings.SplitSeq(tag, ",") {
		name, value, _ := strings.Cut(rule, "=")
		switch name {
		case "omitempty":
			zero = true
		case "min":
			parts = append(parts, "from "+value)
		case "max":
			parts = append(parts, "to "+value)
		}
	}
	text := strings.Join(parts, " ")
	if zero && text != "" {
		return "0, or " + text
	}
	return text
}
