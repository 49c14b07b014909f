package stored

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
)

// DenyAll is the one rule that nothing is allowed.
func DenyAll(origin string) []acl.Rule {
	return []acl.Rule{{Action: acl.PubSub, Origin: origin}}
}

// NoMatch appends the rule which decides when none of all does: verdict is what
// acl_nomatch says, and Ignore appends none.
func NoMatch(all []acl.Rule, verdict access.Verdict, name string) []acl.Rule {
	if verdict == access.Ignore {
		return all
	}
	return append(all, acl.Rule{Allow: verdict == access.Allow, Action: acl.PubSub, Origin: name + ": acl_nomatch"})
}

// Grants is the list of a back end whose entries only ever allow. A client for which
// there is an entry may do nothing else, unless acl_nomatch says so; one for which
// there is none is for the next module. So EMQ 2.3 does.
type Grants struct {
	Rules []acl.Rule
	// Skipped is why an entry, the last of them, was left out.
	Skipped error
	found   bool
}

// Add allows what a topic stands for. Leading wildcards do not match topics that
// begin with $.
func (g *Grants) Add(a acl.Action, topic, origin string) {
	p, err := acl.NewPattern(topic)
	if err != nil {
		g.Skip(fmt.Errorf("%s: topic %q: %w", origin, topic, err))
		return
	}
	g.found = true
	g.Rules = append(g.Rules, acl.Rule{
		Allow: true, Action: a, Topics: []acl.Pattern{p.WithoutDollar()}, Origin: origin,
	})
}

// Skip notes that there was an entry which nobody understands.
func (g *Grants) Skip(err error) { g.Skipped, g.found = err, true }

// Found notes that there is an entry for the client, even if it allows nothing.
func (g *Grants) Found() { g.found = true }

// End is the whole list.
func (g *Grants) End(verdict access.Verdict, name string) []acl.Rule {
	if g.found && verdict == access.Ignore {
		verdict = access.Deny
	}
	return NoMatch(g.Rules, verdict, name)
}

// Teller logs what is left out of the rules, but not for every client in a minute.
// Its zero value logs nothing.
type Teller struct {
	Log  *slog.Logger
	last atomic.Int64 // when it logged, in Unix seconds
}

// Tell logs err, if there is one.
func (t *Teller) Tell(name string, err error) {
	now := time.Now().Unix()
	last := t.last.Load()
	if err == nil || t.Log == nil || now-last < 60 || !t.last.CompareAndSwap(last, now) {
		return
	}
	t.Log.Warn("an access rule that allows is left out", "module", name, "reason", err)
}
