package config

import (
	"slices"
	"strings"
	"sync"
)

// Kind is the type of a key's value.
type Kind uint8

// The kinds, each with how it is written.
const (
	String       Kind = iota // anything up to the end of the line
	File                     // a path; a relative one starts at the node's home
	Int                      // 1024
	Float                    // 0.75
	Bool                     // true or false (on and off are understood)
	Flag                     // on or off (true and false are understood)
	Enum                     // one of Key.Values
	Duration                 // 30s, 1d2h, 500ms; units ms s m h d w f; a bare number is seconds
	Bytesize                 // 64KB; units KB MB GB, or kb mb gb; a bare number is bytes
	Percent                  // 20%, or 0.2
	Address                  // 1883, 127.0.0.1:1883, ::1:1883 or [::1]:1883
	HostPort                 // an Address whose host may be a name
	List                     // words separated by commas
	Priorities               // topic=number, separated by commas
	Access                   // allow or deny, and an IP, a CIDR or all
	Networks                 // IPs and CIDRs separated by commas
	BurstRate                // 100,10: KB, and KB per second
	HostPorts                // HostPort, separated by commas
	Source                   // allow, deny or user:NAME, and an IP, a CIDR or all
	DurabilityOf             // memory or disk, listener or topic, and its name
	SyncPolicy               // always, never or interval 10ms
	Socket                   // an Address, or unix: and a path
	MessageRates             // 100,10: messages, and messages per second
	Seeds                    // HostPort or name@host, separated by commas
)

var kindNames = [...]string{
	"string", "file", "integer", "number", "true, false", "on, off", "one of", "duration",
	"size", "percent", "IP:port", "host:port", "list", "topic=number,…",
	"rule", "IP, CIDR,…", "burst,rate in KB",
	"host:port,…", "source rule", "class, what, name", "always, never, interval",
	"IP:port, unix:path", "burst,rate", "host:port or name@host,…",
}

// String is the kind as the documentation names it.
func (k Kind) String() string { return kindNames[k] }

// Status says what this version does with a key.
type Status uint8

const (
	// Supported keys do what they say.
	Supported Status = iota
	// Ignored keys mean nothing in this implementation. They are accepted, and
	// reported as ignored.
	Ignored
	// NotYet keys belong to a feature that this version does not have. They are
	// refused, so that nobody believes that, say, an authentication is on.
	NotYet
	// OfPlugin keys are those of a plugin's own file, etc/plugins/<plugin>.conf,
	// which is read when the plugin is loaded. Elsewhere they are refused.
	OfPlugin
)

// String is the status in words.
func (s Status) String() string { return [...]string{"supported", "ignored", "not yet", "plugin"}[s] }

// Key is what is known of one key, or of all keys of one pattern.
type Key struct {
	// Name is the key. A word that begins with $ stands for any word:
	// `listener.tcp.$name.acceptors`.
	Name string
	// Section is the heading under which the key is documented.
	Section string
	Kind    Kind
	// Values are the words of an Enum.
	Values []string
	// Default is the value, as it is written in a file, when nothing sets the
	// key. `{{ log.dir }}` in it is the value of that other key. Empty: none.
	Default string
	Status  Status
	// Doc says what the key means, in a sentence or more.
	Doc string
	// Reason is, for an Ignored key, why it means nothing; for one that is
	// NotYet, the feature as a noun phrase; for one OfPlugin, the plugin's name.
	Reason string
	// Missing are further words of an Enum which EMQ has and this version has not,
	// each with the feature as a noun phrase. They are refused.
	Missing map[string]string
	// Harmless are values of a NotYet key that ask for nothing and are accepted.
	Harmless []string
	// Aliases are the key's names in older versions of EMQ.
	Aliases []string
	// Secret values appear in no message and no dump.
	Secret bool

	infinity bool     // the word `infinity` means 0
	words    []string // Name, split
}

// isPattern tells whether the key stands for many.
func (k *Key) isPattern() bool { return strings.Contains(k.Name, "$") }

// harmless tells whether a value of a NotYet key asks for nothing.
func (k *Key) harmless(value string) bool {
	return slices.Contains(k.Harmless, strings.Join(strings.Fields(value), " "))
}

// match tells whether the words are a key of this pattern.
func (k *Key) match(words []string) bool {
	if len(words) != len(k.words) {
		return false
	}
	for i, w := range k.words {
		if w[0] != '$' && w != words[i] {
			return false
		}
	}
	return true
}

// variables counts the words that stand for any.
func (k *Key) variables() int {
	n := 0
	for _, w := range k.words {
		if w[0] == '$' {
			n++
		}
	}
	return n
}

// The registry, indexed.
type registry struct {
	keys    []*Key
	exact   map[string]*Key // by name or alias, without variables
	byWords map[int][]*Key  // patterns by number of words, those with fewest variables first
}

var known = sync.OnceValue(func() *registry {
	r := &registry{exact: map[string]*Key{}, byWords: map[int][]*Key{}}
	for _, section := range [][]Key{
		clusterKeys(), nodeKeys(), logKeys(), traceKeys(), mqttKeys(), retainerKeys(), listenerKeys(),
		storeKeys(), moduleKeys(), authKeys(), gatewayKeys(), otherKeys(), sysmonKeys(),
	} {
		for i := range section {
			r.add(&section[i])
		}
	}
	for _, keys := range r.byWords {
		slices.SortStableFunc(keys, func(a, b *Key) int { return a.variables() - b.variables() })
	}
	return r
})

func (r *registry) add(k *Key) {
	k.words = split(k.Name)
	r.keys = append(r.keys, k)
	if k.isPattern() {
		r.byWords[len(k.words)] = append(r.byWords[len(k.words)], k)
	} else {
		r.exact[k.Name] = k
	}
	for _, a := range k.Aliases {
		r.exact[a] = k
	}
}

// oldListeners are the listeners of EMQ 2.0 and 2.1, which had one of each type.
var oldListeners = []struct{ old, now string }{
	{"mqtt.listener.tcp", "listener.tcp.external"},
	{"mqtt.listener.ssl", "listener.ssl.external"},
	{"mqtt.listener.https", "listener.wss.external"},
	{"mqtt.listener.http", "listener.ws.external"},
}

// canonical replaces an older name by the present one.
func canonical(key string) string {
	for _, l := range oldListeners {
		if rest, ok := strings.CutPrefix(key, l.old); ok && (rest == "" || rest[0] == '.') {
			return l.now + rest
		}
	}
	if k := known().exact[key]; k != nil {
		return k.Name
	}
	return key
}

// lookup finds what is known of a canonical key, or nil.
func lookup(key string) *Key {
	r := known()
	if k := r.exact[key]; k != nil {
		return k
	}
	words := split(key)
	for _, k := range r.byWords[len(words)] {
		if k.match(words) {
			return k
		}
	}
	return nil
}

// Keys lists every key this version knows, in the order of the documentation.
func Keys() []Key {
	keys := make([]Key, 0, len(known().keys))
	for _, k := range known().keys {
		keys = append(keys, *k)
	}
	return keys
}

// nearest finds the known key that is most like an unknown one, or "".
func nearest(key string) string {
	words := split(key)
	best, distance := "", max(2, len(key)/5)+1
	consider := func(candidate string) {
		if d := editDistance(key, candidate, distance); d < distance {
			best, distance = candidate, d
		}
	}
	for _, k := range known().keys {
		consider(k.like(words))
		for _, a := range k.Aliases {
			consider(a)
		}
	}
	for _, l := range oldListeners {
		consider(l.old)
	}
	return best
}

// like is the key's name with the words of another one in place of its variables.
func (k *Key) like(words []string) string {
	name := slices.Clone(k.words)
	for i, w := range name {
		if w[0] == '$' && i < len(words) {
			name[i] = words[i]
		}
	}
	return strings.Join(name, ".")
}

// editDistance counts the insertions, deletions and replacements of a byte that
// turn a into b; limit or more is reported as limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
