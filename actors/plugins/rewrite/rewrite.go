// Package rewrite is the plugin emq_mod_rewrite: it changes the topics that clients
// publish to and the filters that they subscribe to.
//
//	module.rewrite.rule.1 = x/# ^x/y/(.+)$ z/y/$1
//
// A rule has a filter that the topic must match, a regular expression, and what
// takes the place of the whole topic, in which $1 is the first group, %c the client
// identifier and %u the user name. Of several rules the last that fits counts.
package rewrite

import (
	"fmt"
	"regexp"
	"strings"

	"emqttd/actors/hooks"
	"emqttd/actors/plugins"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// rule is one line.
type rule struct {
	filter string
	match  *regexp.Regexp
	to     string
}

// Plugin is the plugin.
func Plugin() *plugins.Plugin {
	return &plugins.Plugin{
		Name: "emq_mod_rewrite", Version: "1.0", Description: "Rewrite of topics",
		Start: func(e *plugins.Env) error {
			rules, err := read(e.Settings)
			if err != nil {
				return err
			}
			return rules.hook(e)
		},
	}
}

type rules []rule

const prefix = "module.rewrite.rule"

func read(s plugins.Settings) (all rules, err error) {
	r := s.Read()
	for _, key := range r.Each(prefix, "") {
		words := strings.Fields(r.String(key, ""))
		if len(words) != 3 {
			r.Wrong(key, "want a filter, a regular expression and a topic")
			continue
		}
		match, err := regexp.Compile(words[1])
		if err != nil {
			r.Wrong(key, err.Error())
			continue
		}
		if _, err := topic.ParseFilter(words[0]); err != nil {
			r.Wrong(key, err.Error())
			continue
		}
		all = append(all, rule{words[0], match, words[2]})
	}
	return all, r.Err()
}

func (all rules) hook(e *plugins.Env) error {
	filters := func(c *hooks.Client, list []hooks.Subscription) hooks.Verdict {
		for i := range list {
			all.subscription(c, &list[i])
		}
		return hooks.Continue
	}
	for at, f := range map[hooks.Point]any{
		hooks.MessagePublish: all.publish, hooks.ClientSubscribe: filters, hooks.ClientUnsubscribe: filters,
	} {
		if err := e.Hook(at, 0, f); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// rewrite is what becomes of a topic or filter; ok is false if no rule fits.
func (all rules) rewrite(c *hooks.Client, name string) (to string, ok bool) {
	for i := len(all) - 1; i >= 0; i-- {
		r := &all[i]
		if !topic.Match(topic.Filter(r.filter), topic.Name(name)) && name != r.filter {
			continue
		}
		groups := r.match.FindStringSubmatchIndex(name)
		if groups == nil {
			continue
		}
		to := string(r.match.ExpandString(nil, r.to, name, groups))
		return strings.NewReplacer("%c", c.ID, "%u", c.Username).Replace(to), true
	}
	return "", false
}

func (all rules) publish(c *hooks.Client, m *protocol.Message) (*protocol.Message, hooks.Verdict) {
	to, ok := all.rewrite(c, string(m.Topic))
	if !ok || topic.CheckName(to) != nil { // by a name with a wildcard it would be no topic
		return m, hooks.Continue
	}
	next := m.Clone()
	next.Topic = topic.Name(to)
	return next, hooks.Continue
}

// subscription rewrites the filter and leaves prefixes such as $share/g/ alone.
func (all rules) subscription(c *hooks.Client, s *hooks.Subscription) {
	to, ok := all.rewrite(c, string(s.Filter))
	if !ok {
		return
	}
	if f, err := topic.ParseFilter(to); err == nil {
		s.Text = strings.TrimSuffix(s.Text, string(s.Filter)) + to
		s.Filter = f
	}
}
