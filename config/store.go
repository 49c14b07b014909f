package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Store says what is kept on disk, and how safely.
type Store struct {
	// Sync is when an acknowledgement may leave: "always" after the sync that
	// covers it, "never" without one, or "interval 10ms"; see Every.
	Sync string `conf:"sync"`
	// MinFree is how many bytes of the file system stay free: below it, what is
	// new is refused.
	MinFree int `conf:"min_free" validate:"min=0"`
}

// Every is the pause between two syncs; 0 for always, negative for never.
func (s *Store) Every() time.Duration {
	d, _ := parseSync(s.Sync)
	return d
}

func parseSync(text string) (time.Duration, error) {
	wrong := errors.New("expected always, never, or interval and a duration from 1ms to 10s, such as interval 10ms")
	words := strings.Fields(text)
	switch {
	case len(words) == 1 && words[0] == "always":
		return 0, nil
	case len(words) == 1 && words[0] == "never":
		return -1, nil
	case len(words) != 2 || words[0] != "interval":
		return 0, wrong
	}
	v, err := parseDuration(words[1])
	d, ok := v.(time.Duration)
	if err != nil || !ok || d < time.Millisecond || d > 10*time.Second {
		return 0, wrong
	}
	return d, nil
}

// DurabilityRule says where sessions and messages live that it is about: those of
// a listener, or those with a topic that matches a filter. The first rule that is
// about one decides; without any, Config.DurabilityDisk does.
type DurabilityRule struct {
	Number int // the N of durability.N; lower ones come first
	Disk   bool
	// One of both is set.
	Listener string // such as tcp.external
	Topic    string // a topic filter
}

func (r DurabilityRule) String() string {
	class, what, name := "memory", "topic", r.Topic
	if r.Disk {
		class = "disk"
	}
	if r.Listener != "" {
		what, name = "listener", r.Listener
	}
	return class + " " + what + " " + name
}

func parseDurability(text string) (any, error) {
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "memory" && words[0] != "disk" || words[1] != "topic" && words[1] != "listener" {
		return nil, errors.New("expected memory or disk, then listener and its name, or topic and a filter")
	}
	r := DurabilityRule{Disk: words[0] == "disk"}
	if words[1] == "topic" {
		r.Topic = words[2]
	} else {
		r.Listener = words[2]
	}
	return r, nil
}

func addDurability(c *Config, words []string, value any) error {
	n, err := number(words[1])
	r := value.(DurabilityRule)
	r.Number = n
	c.Durability = append(c.Durability, r)
	slices.SortStableFunc(c.Durability, func(a, b DurabilityRule) int { return cmp.Compare(a.Number, b.Number) })
	return err
}

func durabilityLines(c *Config, _ func(Secret) string) []string {
	var out []string
	for _, r := range c.Durability {
		out = append(out, fmt.Sprintf("durability.%d = %s", r.Number, r))
	}
	return out
}

func storeKeys() []Key {
	return supported("Durability",
		Key{
			Name: "durability", Kind: Enum, Values: []string{"memory", "disk"}, Default: "disk",
			Doc: "Where sessions live that outlive their connection (Clean Session 0, or a Session Expiry Interval), with their subscriptions, " +
				"queues and wills. What a session of class disk acknowledges is safe: it survives the end of the process and of the machine.",
		},
		Key{
			Name: "durability.$n", Kind: DurabilityOf,
			Doc: "An exception, tried in the order of the numbers: `memory listener tcp.external` for the sessions of a listener, `memory topic sensors/#` " +
				"for messages, which are then acknowledged, and retained, without waiting for the disk.",
		},
		Key{
			Name: "store.sync", Kind: SyncPolicy, Default: "always",
			Doc: "When acknowledgements leave: always is after the sync of the disk that covers them; many share one. `interval 10ms` syncs that often: " +
				"a crash or a power failure costs what was acknowledged since. never leaves it to the operating system.",
		},
		Key{
			Name: "store.min_free", Kind: Bytesize, Default: "256MB",
			Doc: "How much of the file system of node.data_dir stays free. Below it durable work is refused, an alarm is raised, and traffic that needs no disk goes on.",
		})
}
