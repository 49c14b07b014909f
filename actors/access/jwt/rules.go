package jwt

import (
	"fmt"

	"emqttd/actors/access/acl"
	"emqttd/actors/access/stored"
)

// rules reads the claim of access rules in either of two forms. One allows topics:
//
//	{"pub": ["a/#"], "sub": ["b/+"], "all": ["c"]}
//
// The other is a list of rules, the first of which that decides wins:
//
//	[{"permission": "deny", "action": "publish", "topic": "a/secret"},
//	 {"permission": "allow", "action": "all", "topics": ["a/#", "eq a/+"]}]
//
// Topics may have the levels %c and %u, also written ${clientid} and ${username}. At
// the end everything is denied.
func rules(claim any) ([]acl.Rule, error) {
	var all []acl.Rule
	var err error
	switch claim := claim.(type) {
	case map[string]any:
		all, err = grants(claim)
	case []any:
		all, err = list(claim)
	default:
		return nil, fmt.Errorf("it is a %T", claim)
	}
	if err != nil {
		return nil, err
	}
	return append(all, stored.DenyAll("jwt: nothing else is in the claim")...), nil
}

func grants(claim map[string]any) ([]acl.Rule, error) {
	var all []acl.Rule
	for _, kind := range []struct {
		key    string
		action acl.Action
	}{{"pub", acl.Publish}, {"sub", acl.Subscribe}, {"all", acl.PubSub}} {
		said, ok := claim[kind.key]
		if !ok {
			continue
		}
		topics, err := patterns(said)
		if err != nil {
			return nil, err
		}
		if len(topics) > 0 { // a rule without topics is about every topic
			all = append(all, acl.Rule{Allow: true, Action: kind.action, Topics: topics, Origin: "jwt: " + kind.key})
		}
	}
	return all, nil
}

func list(claim []any) ([]acl.Rule, error) {
	all := make([]acl.Rule, 0, len(claim)+1)
	for i, said := range claim {
		fields, ok := said.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("rule %d is a %T", i+1, said)
		}
		r := acl.Rule{Origin: fmt.Sprintf("jwt: rule %d", i+1)}
		switch fields["permission"] {
		case "allow":
			r.Allow = true
		case "deny":
		default:
			return nil, fmt.Errorf("rule %d neither allows nor denies", i+1)
		}
		switch fields["action"] {
		case "publish", "pub":
			r.Action = acl.Publish
		case "subscribe", "sub":
			r.Action = acl.Subscribe
		case "all", "pubsub", nil:
			r.Action = acl.PubSub
		default:
			return nil, fmt.Errorf("rule %d is about no action", i+1)
		}
		topics, ok := fields["topics"]
		if !ok {
			topics = fields["topic"]
		}
		var err error
		if r.Topics, err = patterns(topics); err != nil || len(r.Topics) == 0 {
			return nil, fmt.Errorf("rule %d is about no topics", i+1)
		}
		all = append(all, r)
	}
	return all, nil
}

// patterns reads a topic or a list of them.
func patterns(said any) ([]acl.Pattern, error) {
	topics, ok := said.([]any)
	if !ok {
		topics = []any{said}
	}
	all := make([]acl.Pattern, 0, len(topics))
	for _, t := range topics {
		text, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("a topic is a %T", t)
		}
		p, err := acl.NewPattern(variables.Replace(text))
		if err != nil {
			return nil, err
		}
		all = append(all, p.WithoutDollar())
	}
	return all, nil
}
