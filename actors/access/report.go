package access

import (
	"cmp"
	"context"
	"time"

	"emqttd/actors/access/acl"
	"emqttd/protocol/topic"
)

// Report is the answer to Test.
type Report struct {
	Decision Decision
	Why      string // which module or setting decided
	// Modules are those that were asked, in order.
	Modules []ModuleReport
	// Username, Superuser and Expires are the Identity's.
	Username  string
	Superuser bool
	Expires   time.Time
	// Topics are the verdicts about the topics that were asked about. They are
	// given although the client is not admitted, as if it were.
	Topics []TopicReport
}

// ModuleReport is what one module said about the CONNECT.
type ModuleReport struct {
	Name    string
	Verdict Verdict
	Why     string
	Err     error // it could not answer
}

// TopicReport is the verdict about one topic or filter.
type TopicReport struct {
	Action acl.Action
	Topic  string
	Allow  bool
	Why    string // the rule, as file:line or in its module's words; or the module; or the setting
	Err    error  // it is no topic, or no filter
}

// Test tells what would happen to a client, and why. Nothing is counted: wrong
// passwords have no consequence.
func (c *Chain) Test(ctx context.Context, cred *Credentials, publish, subscribe []string) Report {
	r := Report{Username: cred.Username}
	id := c.test(ctx, cred, &r)
	for _, t := range publish {
		err := topic.CheckName(t)
		r.Topics = append(r.Topics, id.test(ctx, acl.Publish, t, t, err))
	}
	for _, t := range subscribe {
		s, err := topic.ParseSubscription(t)
		r.Topics = append(r.Topics, id.test(ctx, acl.Subscribe, t, string(s.Filter), err))
	}
	return r
}

// test is Admit, step by step.
func (c *Chain) test(ctx context.Context, cred *Credentials, r *Report) *Identity {
	if why, banned := c.o.Bans.banned(cred); banned {
		r.Decision, r.Why = Banned, why
		return c.identify(cred)
	}
	for _, s := range c.line.Load().steps {
		result, err := s.Authenticate(ctx, cred)
		result.Why = cmp.Or(result.Why, s.Name())
		r.Modules = append(r.Modules, ModuleReport{s.Name(), result.Verdict, result.Why, err})
		switch {
		case err != nil:
			r.Decision, r.Why = Unavailable, s.Name()+" cannot answer"
			return c.identify(cred)
		case result.Verdict == Deny:
			r.Decision, r.Why = s.denial(), result.Why
			return c.identify(cred)
		case result.Verdict == Allow:
			id := c.admitted(cred, s, result)
			r.Why, r.Username, r.Superuser, r.Expires = result.Why, id.Username(), id.Superuser(), id.Expires()
			return id
		}
	}
	r.Decision, r.Why = NotAuthorized, "no module decides, and allow_anonymous is false"
	if c.settings.Load().AllowAnonymous {
		r.Decision, r.Why = Accept, "allow_anonymous"
	}
	return c.identify(cred)
}

func (id *Identity) test(ctx context.Context, a acl.Action, asked, t string, err error) TopicReport {
	r := TopicReport{Action: a, Topic: asked, Err: err}
	switch {
	case err != nil:
	case id.Superuser():
		r.Allow, r.Why = true, "super-user"
	default:
		r.Allow, r.Why, _ = id.decide(ctx, a, t)
	}
	return r
}
