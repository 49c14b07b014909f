// Package acl judges who may publish to, and subscribe to, which topics.
//
// A Rule says of a set of clients and a set of topics that they are allowed or
// denied; the first rule of a list that decides wins. Rules come from
// etc/acl.conf, which Parse reads as EMQ 2.x wrote it, and from the rows of the
// back ends. The package holds plain values: no file, clock or goroutine.
//
// A topic name, of a PUBLISH or a will, is judged by matching. A filter of a
// SUBSCRIBE stands for a set of topics: to allow it a rule must cover the whole
// set, and to deny it a rule need only touch it; see Judgement.
package acl

import (
	"net/netip"
	"strconv"
	"strings"
)

// Action is what a client asks for, or a set of both. The numbers are those of
// the access column of EMQ's tables.
type Action uint8

// The actions.
const (
	Subscribe Action = 1
	Publish   Action = 2
	PubSub    Action = Subscribe | Publish
)

// String is the action as etc/acl.conf writes it.
func (a Action) String() string {
	switch a {
	case Subscribe:
		return "subscribe"
	case Publish:
		return "publish"
	case PubSub:
		return "pubsub"
	}
	return "action " + strconv.Itoa(int(a))
}

// Client is what a rule may ask of a client. An empty Username is none, and an
// invalid Addr is in no network.
type Client struct {
	ClientID, Username string
	Addr               netip.Addr
}

// Rule allows or denies. It is immutable.
type Rule struct {
	Allow bool
	// Who it concerns; nil is everybody.
	Who    Matcher
	Action Action
	// Topics it concerns, any of them; none is every topic.
	Topics []Pattern
	// Origin says where the rule stands, for `access test`: file:line, or the
	// module's words for a row.
	Origin string
}

// String is the rule as etc/acl.conf writes it.
func (r Rule) String() string {
	verb := "deny"
	if r.Allow {
		verb = "allow"
	}
	who := "all"
	if r.Who != nil {
		who = r.Who.String()
	}
	if len(r.Topics) == 0 {
		if r.Action == PubSub {
			return "{" + verb + ", " + who + "}."
		}
		return "{" + verb + ", " + who + ", " + r.Action.String() + ", [\"#\"]}."
	}
	topics := make([]string, len(r.Topics))
	for i, p := range r.Topics {
		topics[i] = p.String()
	}
	return "{" + verb + ", " + who + ", " + r.Action.String() + ", [" + strings.Join(topics, ", ") + "]}."
}

// Matcher is a set of clients: All, ClientID, User, Network, And or Or.
type Matcher interface {
	// Matches tells whether the client belongs to it.
	Matches(c *Client) bool
	// String is the set as etc/acl.conf writes it.
	String() string
}

// The sets of clients.
type (
	// All is everybody.
	All struct{}
	// ClientID is the client of that identifier.
	ClientID string
	// User is the clients of that user name.
	User string
	// Network is the clients with an address in it.
	Network netip.Prefix
	// And is the clients that belong to each set; And{} is everybody.
	And []Matcher
	// Or is the clients that belong to a set; Or{} is nobody.
	Or []Matcher
)

// Matches is true.
func (All) Matches(*Client) bool { return true }

// Matches compares the client identifier.
func (id ClientID) Matches(c *Client) bool { return string(id) == c.ClientID }

// Matches compares the user name. A client without one is no user.
func (u User) Matches(c *Client) bool { return c.Username != "" && string(u) == c.Username }

// Matches looks the address up in the network.
func (n Network) Matches(c *Client) bool { return netip.Prefix(n).Contains(c.Addr.Unmap()) }

// Matches is true if all do.
func (a And) Matches(c *Client) bool {
	for _, m := range a {
		if !m.Matches(c) {
			return false
		}
	}
	return true
}

// Matches is true if one does.
func (o Or) Matches(c *Client) bool {
	for _, m := range o {
		if m.Matches(c) {
			return true
		}
	}
	return false
}

func (All) String() string         { return "all" }
func (id ClientID) String() string { return "{client, " + quote(string(id)) + "}" }
func (u User) String() string      { return "{user, " + quote(string(u)) + "}" }
func (a And) String() string       { return "{'and', [" + joined(a) + "]}" }
func (o Or) String() string        { return "{'or', [" + joined(o) + "]}" }

func (n Network) String() string {
	p := netip.Prefix(n)
	if p.IsSingleIP() {
		return "{ipaddr, " + quote(p.Addr().String()) + "}"
	}
	return "{ipaddr, " + quote(p.String()) + "}"
}

func joined(all []Matcher) string {
	words := make([]string, len(all))
	for i, m := range all {
		words[i] = m.String()
	}
	return strings.Join(words, ", ")
}

// ParseNetwork reads an IP address or a CIDR, whose host bits are ignored.
func ParseNetwork(s string) (Network, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return Network(netip.PrefixFrom(addr, addr.BitLen())), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Network{}, err
	}
	return Network(p.Masked()), nil
}
