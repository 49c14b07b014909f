// Package access decides who may connect, publish and subscribe. Every protocol
// and every listener asks here.
//
// A Chain is a sequence of modules: the built-in ones of this package and the
// back ends below it, each behind a Guard. Admit asks them about a CONNECT, in
// order; the first that allows or denies decides, and allow_anonymous does if
// none has. It returns the client's Identity, which answers for its topics:
//
//	CONNECT ── bans ── back-off ── module … module ── allow_anonymous
//	topic ──── super-user ── cache ── rules of the token ── rules and judges
//	           of the modules ── etc/acl.conf ── acl_nomatch
//
// A back end that cannot answer denies, unless it is told to be ignored then.
// What changes later (a rule, a user, a ban) is announced to OnChange: whoever
// holds Identities asks them to Refresh and judges subscriptions anew.
//
// A Chain may be asked from any goroutine. Admit, and an Identity whose cache
// does not know a topic, may block on a back end, never longer than its Guard
// allows: ask on the goroutine that belongs to the client.
package access

import (
	"context"

	"emqttd/actors/access/acl"
	"emqttd/protocol/topic"
)

// Decision is the answer to Credentials.
type Decision uint8

// The decisions, with the CONNACK codes of MQTT 3 and 5 that say so.
const (
	Accept          Decision = iota
	BadCredential            // 4, 0x86
	NotAuthorized            // 5, 0x87
	Unavailable              // 3, 0x88: a back end does not answer
	Banned                   // 5, 0x8A: see Bans
	TooManyAttempts          // 3, 0x9F: see Backoff
)

var decisionNames = [...]string{"accept", "bad_credential", "not_authorized", "unavailable", "banned", "too_many_attempts"}

// String is the decision as logs and counters name it.
func (d Decision) String() string { return decisionNames[d] }

// New makes a chain of no modules but enhanced authentication with s, which may
// be nil.
func New(allowAnonymous, aclNoMatchAllow bool, s *Scram) *Chain {
	return NewChain(Options{AllowAnonymous: allowAnonymous, NoMatchAllow: aclNoMatchAllow, Scram: s})
}

// Authenticate is Admit for those who do not need the Identity.
func (c *Chain) Authenticate(cred *Credentials) Decision {
	_, d, _ := c.Admit(context.Background(), cred)
	return d
}

// MayPublish is Identity.MayPublish for a client without one. It keeps nothing
// and is slow where there are rules.
func (c *Chain) MayPublish(cred *Credentials, t topic.Name) bool {
	return c.without(cred, acl.Publish, string(t))
}

// MaySubscribe is Identity.MaySubscribe for a client without one.
func (c *Chain) MaySubscribe(cred *Credentials, f topic.Filter) bool {
	return c.without(cred, acl.Subscribe, string(f))
}

func (c *Chain) without(cred *Credentials, a acl.Action, t string) bool {
	if !c.line.Load().judges {
		return c.settings.Load().NoMatchAllow
	}
	id := c.identify(cred)
	allow, _, _ := id.decide(context.Background(), a, t)
	return allow
}
