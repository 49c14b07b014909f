package plugins

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reader reads settings and finds what is wrong with them. Its methods return the
// value of a key, or otherwise where it is not set or wrong; Err says what was
// wrong, after all have been read.
type Reader struct {
	settings Settings
	read     map[string]bool
	problem  error
}

// Read begins to read.
func (s Settings) Read() *Reader { return &Reader{settings: s, read: map[string]bool{}} }

// Err is the first value that is wrong, or a key that nobody has read.
func (r *Reader) Err() error {
	if r.problem != nil {
		return r.problem
	}
	for _, key := range slices.Sorted(maps.Keys(r.settings)) {
		if !r.read[key] {
			return fmt.Errorf("unknown key %s (there is %s)", key, strings.Join(slices.Sorted(maps.Keys(r.read)), ", "))
		}
	}
	return nil
}

// Wrong notes what is wrong with the value of a key.
func (r *Reader) Wrong(key, want string) {
	if r.problem == nil {
		r.problem = fmt.Errorf("%s = %s: %s", key, r.settings[key], want)
	}
}

// String reads a text.
func (r *Reader) String(key, otherwise string) string {
	r.read[key] = true
	if v, ok := r.settings[key]; ok {
		return v
	}
	return otherwise
}

// Int reads a number between least and most.
func (r *Reader) Int(key string, otherwise, least, most int) int {
	v := r.String(key, "")
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		r.Wrong(key, fmt.Sprintf("want a number from %d to %d", least, most))
		return otherwise
	}
	return n
}

// Duration reads a positive time such as 10s or 5m.
func (r *Reader) Duration(key string, otherwise time.Duration) time.Duration {
	v := r.String(key, "")
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		r.Wrong(key, "want a time such as 10s or 5m")
		return otherwise
	}
	return d
}

// Bool reads on or off, true or false.
func (r *Reader) Bool(key string, otherwise bool) bool {
	switch v := r.String(key, ""); v {
	case "":
		return otherwise
	case "on", "true":
		return true
	case "off", "false":
		return false
	default:
		r.Wrong(key, "want on or off")
		return otherwise
	}
}

// Each lists the keys prefix.<n> + suffix by n; other words than numbers are wrong.
func (r *Reader) Each(prefix, suffix string) (keys []string) {
	type numbered struct {
		n   int
		key string
	}
	var all []numbered
	for key := range r.settings {
		word, ok := strings.CutPrefix(key, prefix+".")
		if !ok {
			continue
		}
		if word, ok = strings.CutSuffix(word, suffix); !ok {
			continue
		}
		if n, err := strconv.Atoi(word); err == nil {
			all = append(all, numbered{n, key})
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return a.n - b.n })
	for _, x := range all {
		keys = append(keys, x.key)
	}
	return keys
}
