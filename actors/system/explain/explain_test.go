package explain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"emqttd/actors/system/ledger"
	"emqttd/actors/system/trace"
)

var now = time.UnixMilli(1_000_000)

// says checks that the lines contain all of the texts.
func says(t *testing.T, lines []string, texts ...string) {
	t.Helper()
	all := strings.Join(lines, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("missing %q in\n%s", text, all)
		}
	}
}

func TestAClientIsJudgedByItsSessionAndTheLastDrops(t *testing.T) {
	if lines := Client("c", nil, nil, now); len(lines) != 0 {
		t.Errorf("a client that is not here: %q", lines)
	}
	says(t, Client("c", &Session{Connected: true}, nil, now), "no subscription", "nothing waits")
	says(t, Client("c", &Session{
		Connected: true, Subscriptions: 2, Queued: 10, QueueMax: 10, Inflight: 5, MaxInflight: 5, Oldest: 990_000, Dropped: 3,
	}, []ledger.Drop{
		{At: 999_000, Reason: "queue_full", ClientID: "c", Topic: "t", From: "p", Count: 3},
		{At: 999_000, Reason: "queue_full", ClientID: "other", Topic: "foreign", Count: 1},
		{At: 999_500, Reason: "of another version", ClientID: "c", Topic: "t", Count: 1},
	}, now),
		"connected, with 2 subscriptions", "the window is full: 5 of 5", "waiting for an acknowledgement since", "(10s ago)",
		"queue full: 10 of 10", "3 messages for it were dropped", "(1s ago) topic t from p for c: queue full (3 times)", "of another version")
	if lines := Client("c", nil, []ledger.Drop{{ClientID: "other"}}, now); len(lines) != 0 {
		t.Errorf("drops of others are told: %q", lines)
	}
	says(t, Client("c", &Session{Subscriptions: 1, Queued: 4}, nil, now), "not connected", "4 messages wait")
}

func TestATopicIsJudgedByItsSubscribersRulesAndDrops(t *testing.T) {
	if lines := Topic("t", nil, 0, nil, nil, now); len(lines) != 0 {
		t.Errorf("a topic that nobody knows: %q", lines)
	}
	says(t, Topic("t", []Subscriber{{"a", "", 1, true}, {"b", "g", 0, false}}, 7,
		[]Denial{{"p", "etc/acl.conf:12"}}, []ledger.Drop{{At: 1, Reason: "acl_denied", Topic: "t", From: "p", Count: 1}}, now),
		"7 subscriptions match", "a qos=1", "b qos=0 shared in g: one member gets a message, not connected", "and 5 more",
		"p may not publish to it: etc/acl.conf:12", "from p: the access rules do not allow")
}

func TestAMessageIsToldStepByStep(t *testing.T) {
	s := trace.Story{At: 5, Topic: "t", From: "p", QoS: 1, Deliveries: 1, Cut: true, Steps: []trace.Step{
		{At: 6, ClientID: "s", What: "queued"}, {At: 7, ClientID: "s", What: "dropped: expired"},
	}}
	says(t, Message(&s), "p published to t with QoS 1", "for 1 subscribers", "s: queued", "s: dropped: expired", "and more")
	s.Deliveries = 0
	says(t, Message(&s), "no subscriber")
	s.Deliveries, s.From = -1, ""
	says(t, Message(&s), "the broker published", "not matched")
}

func TestTheAnswersOfAllNodesAreOne(t *testing.T) {
	nobody := Part{Node: "a", Lines: []string{"a drop"}}
	for _, c := range []struct {
		parts []Part
		want  []string
	}{
		{[]Part{{Node: "a"}}, []string{"nothing"}},
		{[]Part{{Node: "a", Found: true, Lines: []string{"here"}}}, []string{"here"}},
		{[]Part{nobody, {Node: "b"}}, []string{"nothing", "at a:", "a drop"}},
		{[]Part{nobody, {Node: "b", Found: true, Lines: []string{"there"}}}, []string{"at b:", "there", "at a:", "a drop"}},
		{[]Part{{Node: "a"}, {Node: "b", Err: "late"}}, []string{"nothing", "b has not answered, and may know more: late"}},
	} {
		if got := Together(c.parts, "nothing"); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
