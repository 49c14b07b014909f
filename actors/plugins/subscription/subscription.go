// Package subscription is the plugin emq_mod_subscription: it subscribes clients
// when they connect.
//
//	module.subscription.1.topic = $client/%c
//	module.subscription.1.qos = 1
//
// %c is the client identifier and %u the user name. A filter with the name of a
// user is left out for clients without one.
package subscription

import (
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/hooks"
	"emqttd/actors/kernel"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_subscription", Version: "1.0", Description: "Subscriptions made by the broker",
		Start: func(e *plugins.Env) error {
			list, err := read(e.Settings)
			if err != nil {
				return err
			}
			pid := e.Actor("subscriber", kernel.NewProps(func() actor.Actor { return &subscriber{e, list} }))
			return e.Hook(hooks.ClientConnected, 0, func(c *hooks.Client, code protocol.ReasonCode) hooks.Verdict {
				if !code.IsError() {
					e.System.Root.Send(pid, &connected{c.ID, c.Username})
				}
				return hooks.Continue
			})
		},
	}
}

// wanted is one subscription for everybody.
type wanted struct {
	filter string
	qos    protocol.QoS
}

const prefix = "module.subscription"

func read(s plugins.Settings) (list []wanted, err error) {
	r := s.Read()
	for _, key := range r.Each(prefix, ".topic") {
		filter := r.String(key, "")
		if _, err := topic.ParseSubscription(fill(filter, "c", "u")); err != nil {
			r.Wrong(key, err.Error())
		}
		qos := r.Int(strings.TrimSuffix(key, "topic")+"qos", 1, 0, 2)
		list = append(list, wanted{filter, protocol.QoS(qos)})
	}
	return list, r.Err()
}

func fill(filter, client, user string) string {
	return strings.NewReplacer("%c", client, "%u", user).Replace(filter)
}

// connected tells the subscriber of a client.
type connected struct{ client, user string }

// subscriber is the actor that subscribes, because that waits for the session.
type subscriber struct {
	env  *plugins.Env
	list []wanted
}

// Receive implements actor.Actor. Each client has a goroutine for as long as its
// session takes to answer.
func (s *subscriber) Receive(c actor.Context) {
	if m, ok := c.Message().(*connected); ok {
		go s.subscribe(m)
	}
}

func (s *subscriber) subscribe(m *connected) {
	for _, w := range s.list {
		if m.user == "" && strings.Contains(w.filter, "%u") {
			continue
		}
		filter := fill(w.filter, m.client, m.user)
		if _, err := topic.ParseSubscription(filter); err != nil {
			s.env.Log.Warn("a client's name makes no filter", "client_id", m.client, "filter", filter, "error", err)
			continue
		}
		if err := s.env.Subscribe(m.client, filter, w.qos); err != nil {
			s.env.Log.Info("a client could not be subscribed", "client_id", m.client, "filter", filter, "error", err)
		}
	}
}
