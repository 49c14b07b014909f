// Package access decides who may connect, publish and subscribe. Every protocol
// and every listener asks here.
//
// A Chain is an immutable value: it may be asked from any goroutine, does not
// block and does not allocate. Without an authentication module mqtt.allow_anonymous
// decides about everybody, and without an access list mqtt.acl_nomatch does.
package access

import "emqttd/protocol/topic"

// Decision is the answer to Credentials.
type Decision uint8

// The decisions.
const (
	Accept        Decision = iota
	BadCredential          // CONNACK 4, 0x86
	NotAuthorized          // CONNACK 5, 0x87
	Unavailable            // CONNACK 3, 0x88: a back end does not answer
)

// Chain is the sequence of rules that decides.
type Chain struct {
	allowAnonymous bool
	allowNoMatch   bool
	scram          *Scram
}

// New makes a chain of no modules but enhanced authentication with s, which may
// be nil.
func New(allowAnonymous, aclNoMatchAllow bool, s *Scram) *Chain {
	return &Chain{allowAnonymous: allowAnonymous, allowNoMatch: aclNoMatchAllow, scram: s}
}

// Authenticate decides about a CONNECT.
func (c *Chain) Authenticate(*Credentials) Decision {
	if c.allowAnonymous {
		return Accept
	}
	return NotAuthorized
}

// MayPublish decides about one PUBLISH, or about a will.
func (c *Chain) MayPublish(*Credentials, topic.Name) bool { return c.allowNoMatch }

// MaySubscribe decides about one filter of a SUBSCRIBE, without its prefix.
func (c *Chain) MaySubscribe(*Credentials, topic.Filter) bool { return c.allowNoMatch }
