package access

import (
	"context"
	"net/netip"
	"strconv"
)

// SourceRule says of the clients of a network that they may come in, that they
// may not, or who they are.
type SourceRule struct {
	// Network is invalid for all.
	Network  netip.Prefix
	Allow    bool
	Username string // of those that are allowed; empty leaves them their own
}

// sources is the module of source addresses.
type sources struct{ rules []SourceRule }

// Sources makes a module of rules for source addresses. The first that fits
// decides. A client that a rule gives a name to needs no password.
func Sources(rules []SourceRule) Module { return &sources{rules} }

func (s *sources) Name() string { return "source" }

func (s *sources) Authenticate(_ context.Context, c *Credentials) (Result, error) {
	addr, err := netip.ParseAddr(c.Peer)
	for i, r := range s.rules {
		if r.Network.IsValid() && (err != nil || !r.Network.Contains(addr.Unmap().WithZone(""))) {
			continue
		}
		v := Deny
		if r.Allow {
			v = Allow
		}
		return Result{Verdict: v, Username: r.Username, Why: "source: rule " + strconv.Itoa(i+1) + ", " + v.String()}, nil
	}
	return Result{}, nil
}
