package topic

import "strings"

// QueueGroup is the group of a $queue/ subscription: $queue/t is another
// spelling of $share/$queue/t.
const QueueGroup = "$queue"

const (
	localPrefix = "$local/"
	queuePrefix = "$queue/"
	sharePrefix = "$share/"
)

// Subscription is a parsed SUBSCRIBE or UNSUBSCRIBE filter:
//
//	a/+               Filter a/+
//	$share/g/a/+      Filter a/+, Group g
//	$queue/a/+        Filter a/+, Group $queue
//	$local/a/+        Filter a/+, Local: for messages published at this node
//	$local/$share/…   and $local/$queue/…: both
//
// Nothing else is a prefix, and nothing is parsed twice: $share/g/$local/t is
// the filter $local/t in group g.
type Subscription struct {
	Filter Filter
	Group  string // empty: not shared
	Local  bool
}

// Shared tells whether the subscription shares its messages with a group.
func (s Subscription) Shared() bool { return s.Group != "" }

// String returns the form which ParseSubscription parses to s.
func (s Subscription) String() string {
	var b strings.Builder
	if s.Local {
		b.WriteString(localPrefix)
	}
	switch s.Group {
	case "":
	case QueueGroup:
		b.WriteString(queuePrefix)
	default:
		b.WriteString(sharePrefix)
		b.WriteString(s.Group)
		b.WriteByte(separator)
	}
	b.WriteString(string(s.Filter))
	return b.String()
}

// ParseSubscription parses and checks what a client subscribes to. The error
// is an *Error. The result shares the bytes of s; it does not allocate.
func ParseSubscription(s string) (Subscription, error) {
	var sub Subscription
	// The limits are those of the whole string as the client sent it.
	if err := checkText(s); err != nil {
		return sub, err
	}
	rest, local := strings.CutPrefix(s, localPrefix)
	group := ""
	if after, ok := strings.CutPrefix(rest, queuePrefix); ok {
		rest, group = after, QueueGroup
	} else if after, ok := strings.CutPrefix(rest, sharePrefix); ok {
		name, filter, found := strings.Cut(after, "/")
		if name == "" || strings.ContainsAny(name, "+#\x00") {
			return sub, ErrShareName // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		}
		if !found || filter == "" {
			return sub, ErrShareFilter // [MQTT-4.8.2-2]
		}
		rest, group = filter, name
	}
	f, err := ParseFilter(rest)
	if err != nil {
		return sub, err
	}
	return Subscription{Filter: f, Group: group, Local: local}, nil
}
