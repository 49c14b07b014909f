// Package topic holds the rules of MQTT topic names and topic filters
// (MQTT 3.1.1 and 5.0, section 4.7) and of the subscription prefixes
// $share/<group>/, $queue/ and $local/.
//
// A Name and a Filter are different types so that they cannot be mixed up. A
// value of either type that came through CheckName, ParseFilter or
// ParseSubscription is valid; everything below may rely on it.
package topic

import (
	"strings"
	"unicode/utf8"
)

// Name is a Topic Name: what a PUBLISH carries. It has no wildcards.
type Name string

// Filter is a Topic Filter without any subscription prefix: what a
// subscription is matched by.
type Filter string

const (
	// MaxLength is the longest name or filter in bytes: a UTF-8 string on the
	// wire has a two byte length. [MQTT-4.7.3-3]
	MaxLength = 65535
	// MaxLevels bounds the levels of a name or filter, so that the depth of a
	// trie and of every walk over it has a bound. It is EMQ's limit; real
	// topics have fewer than ten levels.
	MaxLevels = 128
)

// Separator divides the levels; '+' and '#' are wildcards.
const (
	separator = '/'
	single    = '+'
	multi     = '#'
)

// special marks the bytes that CheckName has to look at; all others are ordinary
// ASCII. A table costs half of what comparisons do, on the path of every PUBLISH.
var special = func() (t [256]bool) {
	for _, c := range []byte{0, separator, single, multi} {
		t[c] = true
	}
	for c := utf8.RuneSelf; c < len(t); c++ {
		t[c] = true
	}
	return t
}()

// CheckName tells why name may not be the topic of a PUBLISH, or nil. The
// error is an *Error. It does not allocate for a valid ASCII name.
func CheckName[T ~string | ~[]byte](name T) error {
	if err := checkLength(name); err != nil {
		return err
	}
	levels, ascii := 1, true
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !special[c] {
			continue
		}
		switch c {
		case separator:
			levels++
		case single, multi:
			return ErrNameWildcard // [MQTT-3.3.2-2]
		case 0:
			return ErrNull // [MQTT-4.7.3-2]
		default:
			ascii = false
		}
	}
	if !ascii && !utf8.ValidString(string(name)) {
		return ErrUTF8 // [MQTT-1.5.3-1]
	}
	if levels > MaxLevels {
		return ErrTooManyLevels
	}
	return nil
}

// checkLength checks what holds for every name, filter and subscription.
func checkLength[T ~string | ~[]byte](s T) error {
	switch {
	case len(s) == 0:
		return ErrEmpty // [MQTT-4.7.3-1]
	case len(s) > MaxLength:
		return ErrTooLong // [MQTT-4.7.3-3]
	}
	return nil
}

// checkText is checkLength and the encoding. U+0000 is left to the parsers,
// which go over the bytes anyway.
func checkText(s string) error {
	if err := checkLength(s); err != nil {
		return err
	}
	if !utf8.ValidString(s) {
		return ErrUTF8 // [MQTT-1.5.3-1]
	}
	return nil
}

// ParseFilter checks s and returns it as a filter. The error is an *Error. The
// filter shares the bytes of s.
func ParseFilter(s string) (Filter, error) {
	if err := checkText(s); err != nil {
		return "", err
	}
	levels, start := 1, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case separator:
			levels++
			start = i + 1
		case multi:
			if i != start || i != len(s)-1 {
				return "", ErrMultiLevel // [MQTT-4.7.1-2]
			}
		case single:
			if i != start || (i+1 < len(s) && s[i+1] != separator) {
				return "", ErrSingleLevel // [MQTT-4.7.1-3]
			}
		case 0:
			return "", ErrNull // [MQTT-4.7.3-2]
		}
	}
	if levels > MaxLevels {
		return "", ErrTooManyLevels
	}
	return Filter(s), nil
}

// HasWildcard tells whether f can match more than the one name that it spells.
func (f Filter) HasWildcard() bool {
	for i := 0; i < len(f); i++ {
		if f[i] == single || f[i] == multi {
			return true
		}
	}
	return false
}

// Levels returns the number of levels of f.
func (f Filter) Levels() int { return strings.Count(string(f), "/") + 1 }

// StartsWithWildcard tells whether the first level of f is a wildcard. Such a
// filter does not match names that begin with '$'. [MQTT-4.7.2-1]
func (f Filter) StartsWithWildcard() bool {
	return len(f) > 0 && (f[0] == single || f[0] == multi)
}

// Match tells whether f matches n. Both must be valid. It does not allocate.
// It is the specification in code, one filter at a time; package index finds
// the matching ones among millions.
func Match(f Filter, n Name) bool {
	if len(n) > 0 && n[0] == '$' && f.StartsWithWildcard() {
		return false // [MQTT-4.7.2-1]
	}
	return MatchBelow(string(f), string(n))
}

// MatchBelow matches the last levels of a filter with the last levels of a
// name, when those above are known to match. It is Match without the rule for
// names that begin with '$', which is for whole names.
func MatchBelow(filter, name string) bool {
	j := 0
	for i := 0; i < len(filter); i++ {
		switch c := filter[i]; {
		case c == multi:
			return true
		case c == single:
			for j < len(name) && name[j] != separator {
				j++
			}
		case j == len(name):
			return filter[i:] == "/#" // a/# matches a, too [MQTT-4.7.1-2]
		case name[j] != c:
			return false
		default:
			j++
		}
	}
	return j == len(name)
}

// FirstLevel returns the first level of f.
func (f Filter) FirstLevel() string {
	level, _, _ := strings.Cut(string(f), "/")
	return level
}
