package config

import (
	"slices"
	"strings"
)

// Liveness says when a changed value of a key is in force.
type Liveness uint8

const (
	_ Liveness = iota // nobody has said it: a test finds such keys
	// AtOnce is as soon as the reload has been answered.
	AtOnce
	// NewConnections is for connections that begin after the reload; those that are
	// there keep what they were told in CONNACK. Sessions follow when their client
	// connects again.
	NewConnections
	// NeedsRestart is when the node is started the next time.
	NeedsRestart
)

var livenesses = [...]string{"", "at once", "for new connections", "after a restart"}

// String is the liveness as the documentation and etc/emq.conf say it.
func (l Liveness) String() string { return livenesses[l] }

// MarshalText is String, for encoders.
func (l Liveness) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the inverse of MarshalText. What it does not know is empty.
func (l *Liveness) UnmarshalText(text []byte) error {
	*l = Liveness(max(slices.Index(livenesses[:], string(text)), 0))
	return nil
}

// live says of every supported key when a change of it is in force. A name stands
// for itself and for all keys below it; the longest that fits decides, so that a
// section has one line and its exceptions have theirs. `listener.*` is for listeners
// of every type.
var live = map[string]Liveness{
	"cluster":    NeedsRestart,
	"node":       NeedsRestart,
	"log":        NeedsRestart,
	"trace":      NeedsRestart,
	"store":      NeedsRestart,
	"durability": NeedsRestart,
	"access":     NeedsRestart,
	"auth":       NeedsRestart,
	"acl":        NeedsRestart,
	"mqtt":       NeedsRestart,
	"retainer":   AtOnce,
	"module":     NeedsRestart, // emqttd_ctl plugins load and unload are at once
	"listener.*": NeedsRestart,

	"log.console.level":        AtOnce,
	"mqtt.broker.sys_interval": AtOnce,
	"retainer.storage_type":    NeedsRestart,
}

// Live tells when a change of the key is in force; zero for a key that is not
// supported.
func (k *Key) Live() Liveness {
	if k.Status != Supported {
		return 0
	}
	words := strings.Split(k.Name, ".")
	if words[0] == "listener" { // listener.tcp.$name.acceptors
		words = append([]string{"listener", "*"}, words[3:]...)
	}
	for n := len(words); n > 0; n-- {
		if l, ok := live[strings.Join(words[:n], ".")]; ok {
			return l
		}
	}
	return 0
}
