// Package webhook is the plugin emq_web_hook: it posts what happens to an HTTP
// server, as JSON.
//
//	web.hook.api.url = http://127.0.0.1:8080/mqtt
//	web.hook.rule.message.publish.1 = {"action": "on_message_publish", "topic": "a/#"}
//
// Unlike EMQ's it holds nobody up: events wait in a queue of bounded length, and
// those for which it has no room are dropped and counted. Some workers post them,
// so that they may arrive in another order than they happened in.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol/topic"
)

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{Name: "emq_web_hook", Version: "1.0", Description: "EMQ Webhook Plugin", Start: start}
}

// options are the settings.
type options struct {
	url     string
	queue   int
	workers int
	timeout time.Duration
	retries int
	rules   map[hooks.Point][]rule
}

// rule says that an event is posted; without a filter, whatever its topic is.
type rule struct{ filter topic.Filter }

func (r rule) fits(name string) bool {
	return r.filter == "" || topic.Match(r.filter, topic.Name(name)) || string(r.filter) == name
}

// prefix of the rules' keys: web.hook.rule.<event>.<n>.
const prefix = "web.hook.rule."

func read(s plugins.Settings) (o options, err error) {
	r := s.Read()
	o = options{
		url: r.String("web.hook.api.url", "http://127.0.0.1"), queue: r.Int("web.hook.queue", 10_000, 1, 10_000_000),
		workers: r.Int("web.hook.workers", 8, 1, 256), timeout: r.Duration("web.hook.timeout", 5*time.Second),
		retries: r.Int("web.hook.retries", 3, 0, 10), rules: map[hooks.Point][]rule{},
	}
	if u, err := url.Parse(o.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		r.Wrong("web.hook.api.url", "want a URL such as http://127.0.0.1:8080/mqtt")
	}
	for at := hooks.ClientConnected; at <= hooks.MessageAcked; at++ {
		for _, key := range r.Each(prefix+at.String(), "") {
			one, err := parse(at, r.String(key, ""))
			if err != nil {
				r.Wrong(key, err.Error())
			}
			o.rules[at] = append(o.rules[at], one)
		}
	}
	return o, r.Err()
}

func parse(at hooks.Point, text string) (rule, error) {
	var j struct{ Action, Topic string }
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return rule{}, errors.New(`want JSON such as {"action": "on_message_publish", "topic": "a/#"}`)
	}
	if want := "on_" + action(at); j.Action != want {
		return rule{}, fmt.Errorf("the action is %s", want)
	}
	if j.Topic == "" {
		return rule{}, nil
	}
	f, err := topic.ParseFilter(j.Topic)
	return rule{f}, err
}

func start(e *plugins.Env) error {
	o, err := read(e.Settings)
	if err != nil {
		return err
	}
	if len(o.rules) == 0 {
		return errors.New("no web.hook.rule says what is to be posted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := newPoster(ctx, o, e.Log)
	e.OnStop(func() {
		cancel()
		p.running.Wait()
		p.client.CloseIdleConnections()
		if n := len(p.queue); n > 0 {
			e.Log.Warn("events of the web hook are lost", "count", n)
		}
	})
	if err := e.AddCommand(p.command()); err != nil {
		return err
	}
	for at := range o.rules {
		if err := e.Hook(at, 1000, p.function(at)); err != nil { // behind those that change something
			return err
		}
	}
	return nil
}
