package connections

import (
	"strings"

	"emqttd/actors/sessions"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// mountpoint is what stands before the topics of a client: that of the listener,
// with %c and %u filled in. A client whose identifier or name would reach beyond
// its own topics there is refused.
func mountpoint(pattern string, id protocol.ClientID, user string) (string, error) {
	if strings.Contains(pattern, "%c") {
		if !isLevel(id) {
			return "", &refusal{code: protocol.ClientIdentifierNotValid, reason: "mountpoint_invalid"}
		}
		pattern = strings.ReplaceAll(pattern, "%c", id)
	}
	if strings.Contains(pattern, "%u") {
		if !isLevel(user) {
			return "", &refusal{code: protocol.BadUserNameOrPassword, reason: "mountpoint_invalid"}
		}
		pattern = strings.ReplaceAll(pattern, "%u", user)
	}
	return pattern, nil
}

// isLevel tells whether a name may be one level of a topic.
func isLevel(name string) bool {
	return name != "" && topic.CheckName(name) == nil && !strings.Contains(name, "/")
}

// mount moves a filter to where the client's topics are.
func mount(q *sessions.Request, at string) {
	if at == "" || q.Denied.IsError() {
		return
	}
	q.Subscription.Filter = topic.Filter(at) + q.Subscription.Filter
	q.Text = q.Subscription.String()
	if _, err := topic.ParseSubscription(q.Text); err != nil { // too long
		q.Denied = protocol.TopicFilterInvalid
	}
}

// mountedJudge judges topics as a client with a mount point writes them.
type mountedJudge struct {
	sessions.Judge
	at string
}

// MayPublish implements sessions.Judge.
func (j mountedJudge) MayPublish(n topic.Name) bool {
	return j.Judge.MayPublish(topic.Name(strings.TrimPrefix(string(n), j.at)))
}

// MaySubscribe implements sessions.Judge.
func (j mountedJudge) MaySubscribe(f topic.Filter) bool {
	return j.Judge.MaySubscribe(topic.Filter(strings.TrimPrefix(string(f), j.at)))
}
