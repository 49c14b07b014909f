package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/system/explain"
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/logging"
	"emqttd/actors/system/trace"
	"emqttd/protocol/topic"
)

// explained is how many subscribers of a node an explanation names.
const explained = 20

// What is asked of all nodes.
const (
	aboutClient  = "client"
	aboutTopic   = "topic"
	aboutMessage = "message"
)

type explainOf struct{ About, Name string }

func (n *Node) explainClient(id string) ([]string, error) {
	return explain.Together(n.explainers(explainOf{aboutClient, id}), explain.NoSession), nil
}

func (n *Node) explainTopic(name string) ([]string, error) {
	if err := topic.CheckName(topic.Name(name)); err != nil {
		return nil, fmt.Errorf("%q is no topic to publish to", name)
	}
	return explain.Together(n.explainers(explainOf{aboutTopic, name}), explain.NoSubscriber), nil
}

func (n *Node) explainMessage(text string) ([]string, error) {
	if _, err := trace.ParseTag(text); err != nil {
		return nil, err
	}
	parts := n.explainers(explainOf{aboutMessage, text})
	if !slices.ContainsFunc(parts, func(p explain.Part) bool { return p.Found }) {
		return nil, errors.New("no trace has seen that message, or it was too long ago: begin with `trace client` or `trace topic`")
	}
	return explain.Together(parts, ""), nil
}

// explainHere is what this node has to say.
func (n *Node) explainHere(q explainOf) explain.Part {
	p := explain.Part{Node: n.config.Node.Name}
	switch q.About {
	case aboutClient:
		p.Found, p.Lines = n.clientHere(q.Name)
	case aboutTopic:
		p.Found, p.Lines = n.topicHere(q.Name)
	case aboutMessage:
		tag, err := trace.ParseTag(q.Name)
		s, ok := n.sessions.Trace.Story(tag)
		if p.Found = ok && err == nil; p.Found {
			p.Lines = explain.Message(&s)
		}
	}
	return p
}

func (n *Node) clientHere(id string) (found bool, lines []string) {
	drops := n.metrics.Recent.List()
	r := n.session(id, true)
	if r == nil {
		return false, explain.Client(id, nil, drops, time.Now())
	}
	d := &r.Delivery
	return true, explain.Client(id, &explain.Session{
		ClientID: id, Connected: r.Client != nil, Subscriptions: r.Subscriptions,
		Queued: d.Queued + d.Replaying, QueueMax: d.QueueMaximum,
		Inflight: d.Inflight, MaxInflight: d.MaxInflight, Oldest: r.Oldest, Dropped: d.Dropped,
	}, drops, time.Now())
}

func (n *Node) topicHere(name string) (found bool, lines []string) {
	drops := n.metrics.Recent.List()
	matches, all := n.router.Who(topic.Name(name), explained)
	list := make([]explain.Subscriber, len(matches))
	for i, m := range matches {
		list[i] = explain.Subscriber{ClientID: m.ClientID, Group: m.Group, QoS: byte(m.QoS), Online: m.Online}
	}
	return all > 0, explain.Topic(name, list, all, n.denials(name, drops), drops, time.Now())
}

// denials are the publishers among the last drops that may not publish to a
// topic, and the rules that say so now.
func (n *Node) denials(name string, drops []ledger.Drop) (out []explain.Denial) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	asked := map[string]bool{}
	for _, d := range drops {
		if d.Topic != name || d.Reason != "acl_denied" || asked[d.From] || len(asked) == explained {
			continue
		}
		asked[d.From] = true
		cred := access.Credentials{ClientID: d.From, Protocol: "mqtt"}
		if r := n.session(d.From, false); r != nil && r.Client != nil {
			cred.Username, cred.Peer, cred.Listener = r.Client.Username, r.Client.Peer, r.Client.Listener
		}
		report := n.door.chain.Test(ctx, &cred, []string{name}, nil)
		for _, t := range report.Topics {
			if !t.Allow && t.Err == nil {
				out = append(out, explain.Denial{ClientID: d.From, Why: t.Why})
			}
		}
	}
	return out
}

func (n *Node) logLevel() string { return logging.Level(n.log) }

func (n *Node) setLogLevel(level string) error {
	if err := logging.SetLevel(n.log, level); err != nil {
		return err
	}
	n.log.Info("the log level was changed", "level", level)
	return nil
}
