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
	"acl":        AtOnce,
	"mqtt":       NewConnections,
	"retainer":   AtOnce,
	"module":     NeedsRestart, // emqttd_ctl plugins load and unload are at once
	"listener.*": NeedsRestart, // which there are, their addresses, sockets and TLS; certificates are read when they change

	"log.console.level":     AtOnce,
	"access.backoff":        AtOnce,
	"retainer.storage_type": NeedsRestart,

	"mqtt.allow_anonymous":    AtOnce,
	"mqtt.acl_nomatch":        AtOnce,
	"mqtt.acl_file":           NeedsRestart, // what is in the file is read when it changes
	"mqtt.cache_acl":          AtOnce,
	"mqtt.acl_cache_max_size": AtOnce,
	"mqtt.acl_cache_ttl":      AtOnce,

	"mqtt.session.max_subscriptions":    AtOnce,
	"mqtt.mqueue.type":                  NeedsRestart, // what is on disk lies by priorities
	"mqtt.mqueue.priority":              NeedsRestart,
	"mqtt.broker.sys_interval":          AtOnce,
	"mqtt.pubsub.pool_size":             NeedsRestart,
	"mqtt.shared_subscription_strategy": NeedsRestart,
	"mqtt.plugins":                      NeedsRestart,

	"listener.*.max_clients":              AtOnce,
	"listener.*.max_conn_rate":            AtOnce,
	"listener.*.max_clients_per_ip":       NewConnections,
	"listener.*.max_conn_rate_per_ip":     NewConnections,
	"listener.*.access":                   NewConnections,
	"listener.*.rate_limit":               NewConnections,
	"listener.*.message_rate_limit":       NewConnections,
	"listener.*.total_message_rate_limit": NewConnections,
	"listener.*.send_timeout":             NewConnections,
	"listener.*.send_timeout_close":       NewConnections,
	"listener.*.mountpoint":               NewConnections,
	"listener.*.path":                     NewConnections,
	"listener.*.origins":                  NewConnections,
	"listener.api.$name.send_timeout":     NeedsRestart,
}

// Live tells when a change of the key is in force; zero for a key that is not
// supported.
func (k *Key) Live() Liveness {
	if k.Status != Supported {
		return 0
	}
	if l, ok := live[k.Name]; ok {
		return l
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
