// Package explain says in words why a message was delivered or not. It judges
// plain values, snapshots that somebody else has taken: what a session is now, who
// subscribes to a topic, the last drops of the node (ledger.Recent), and what a
// trace remembers of a message (trace.Story).
package explain

import (
	"fmt"
	"strings"
	"time"

	"emqttd/actors/system/ledger"
	"emqttd/actors/system/trace"
)

// Session is what is known of a session.
type Session struct {
	ClientID              string
	Connected             bool
	Subscriptions         int
	Queued, QueueMax      int
	Inflight, MaxInflight int
	Oldest                int64 // when it was sent what has waited longest for its acknowledgement, Unix milliseconds; 0: nothing does
	Dropped               uint64
	OutboxFull            bool // the client reads too slowly
}

// Client judges a client: session is nil if it has none here.
func Client(id string, session *Session, drops []ledger.Drop, now time.Time) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if session != nil {
		state(session, now, say)
	}
	return append(out, lost(drops, now, func(d *ledger.Drop) bool { return d.ClientID == id || d.From == id })...)
}

func state(s *Session, now time.Time, say func(string, ...any)) {
	if s.Connected {
		say("connected, with %d subscriptions", s.Subscriptions)
	} else {
		say("not connected: what it subscribed to (%d subscriptions) with QoS 1 and 2 waits for it", s.Subscriptions)
	}
	if s.Subscriptions == 0 {
		say("no subscription: no message is for it")
	}
	if s.Connected && s.MaxInflight > 0 && s.Inflight >= s.MaxInflight {
		say("the window is full: %d of %d messages wait for an acknowledgement, nothing more of QoS 1 and 2 is sent before", s.Inflight, s.MaxInflight)
	}
	if s.Oldest != 0 {
		say("waiting for an acknowledgement since %s (%s)", clock(s.Oldest), ago(s.Oldest, now))
	}
	switch {
	case s.QueueMax > 0 && s.Queued >= s.QueueMax:
		say("queue full: %d of %d messages wait", s.Queued, s.QueueMax)
	case s.Queued > 0:
		say("%d messages wait in its queue", s.Queued)
	}
	if s.Dropped > 0 {
		say("%d messages for it were dropped since the session was made", s.Dropped)
	}
	if s.Connected && s.Queued == 0 && s.Inflight == 0 {
		say("nothing waits: what was for it was sent")
	}
}

// Subscriber is one of those a topic is for.
type Subscriber struct {
	ClientID string
	Group    string // of a shared subscription
	QoS      byte
	Online   bool
}

// Denial is a publisher that may not publish to a topic.
type Denial struct {
	ClientID string
	Why      string // the rule, as file:line, or what else decides
}

// Topic judges a topic: all is how many subscribers there are, list the first of
// them.
func Topic(name string, list []Subscriber, all int, denials []Denial, drops []ledger.Drop, now time.Time) []string {
	var out []string
	if all > 0 {
		out = append(out, fmt.Sprintf("%d subscriptions match", all))
	}
	for _, s := range list {
		line := fmt.Sprintf("  %s qos=%d", s.ClientID, s.QoS)
		if s.Group != "" {
			line += " shared in " + s.Group + ": one member gets a message"
		}
		if !s.Online {
			line += ", not connected"
		}
		out = append(out, line)
	}
	if all > len(list) {
		out = append(out, fmt.Sprintf("  and %d more", all-len(list)))
	}
	for _, d := range denials {
		out = append(out, fmt.Sprintf("%s may not publish to it: %s", d.ClientID, d.Why))
	}
	return append(out, lost(drops, now, func(d *ledger.Drop) bool { return d.Topic == name })...)
}

// Message tells the story of a message that was traced.
func Message(s *trace.Story) []string {
	from := s.From
	if from == "" {
		from = "the broker"
	}
	out := []string{fmt.Sprintf("%s published to %s with QoS %d at %s", from, s.Topic, s.QoS, clock(s.At))}
	switch {
	case s.Deliveries < 0:
		out = append(out, "it was not matched: it was rejected, or is not complete")
	case s.Deliveries == 0:
		out = append(out, "no subscriber")
	default:
		out = append(out, fmt.Sprintf("it was for %d subscribers", s.Deliveries))
	}
	for _, x := range s.Steps {
		out = append(out, fmt.Sprintf("  %s %s: %s", clock(x.At), x.ClientID, x.What))
	}
	if s.Cut {
		out = append(out, "  and more, which is not remembered")
	}
	return out
}

// reasons are the drop reasons in words.
var reasons = map[string]string{
	"no_subscriber":    "no subscriber",
	"acl_denied":       "the access rules do not allow the publisher to publish there",
	"queue_full":       "queue full",
	"expired":          "its time to live was over",
	"offline_qos0":     "QoS 0 for a client that is not connected",
	"mailbox_full":     "QoS 0, and too much was on the way to the session",
	"session_ended":    "the session ended",
	"session_crash":    "the session crashed",
	"packet_too_big":   "larger than the client's Maximum Packet Size",
	"loop_ignored":     "published by the client itself (ignore_loop_deliver)",
	"access_revoked":   "the client may not have it any more",
	"quota_exceeded":   "a receiver could not take more",
	"store_lost":       "the store did not give it back",
	"memory":           "the node was short of memory",
	"client_refused":   "the client refused it",
	"max_awaiting_rel": "too many messages of QoS 2 waited for PUBREL",
}

// lost tells of the drops that match.
func lost(drops []ledger.Drop, now time.Time, match func(*ledger.Drop) bool) (out []string) {
	for i := range drops {
		d := &drops[i]
		if !match(d) {
			continue
		}
		why, known := reasons[d.Reason]
		if !known {
			why = d.Reason
		}
		var b strings.Builder
		fmt.Fprintf(&b, "  %s (%s) topic %s", clock(d.At), ago(d.At, now), d.Topic)
		if d.From != "" {
			fmt.Fprintf(&b, " from %s", d.From)
		}
		if d.ClientID != "" {
			fmt.Fprintf(&b, " for %s", d.ClientID)
		}
		fmt.Fprintf(&b, ": %s", why)
		if d.Count > 1 {
			fmt.Fprintf(&b, " (%d times)", d.Count)
		}
		out = append(out, b.String())
	}
	if len(out) > 0 {
		out = append([]string{fmt.Sprintf("among the last %d drops of this node:", ledger.RecentDrops)}, out...)
	}
	return out
}

func clock(ms int64) string { return time.UnixMilli(ms).Local().Format("2006-01-02 15:04:05.000") }

func ago(ms int64, now time.Time) string {
	return now.Sub(time.UnixMilli(ms)).Round(time.Millisecond).String() + " ago"
}
