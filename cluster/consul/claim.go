package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// Taken means that another node has this node's name.
type Taken struct {
	Name    string
	Address string // of the other one
	// Sure is false where the other one does not answer, but its session in Consul
	// still lives: it may be dead.
	Sure bool
}

// Error says it in a line.
func (t *Taken) Error() string {
	s := fmt.Sprintf("node.name %s is taken by the node at %s", t.Name, t.Address)
	if !t.Sure {
		s += ", which does not answer, but whose session in Consul still lives"
	}
	return s
}

// claim is the value of the key of a name: whose it is. The key is locked by a
// session of that node, and goes with it.
type claim struct {
	Address     string `json:"address"`
	Incarnation uint64 `json:"incarnation"`
}

const (
	// shortestSession is what Consul allows. It ends a session up to twice as late.
	shortestSession = 10 * time.Second
	// claimTries bounds how often others may be faster.
	claimTries = 5
)

// claim makes the name ours, in all of the datacenter. Where it is, it only renews
// the session that holds it.
func (c *client) claim(ctx context.Context, t *todo) error {
	if err := c.renew(ctx, t); err != nil || t.claimed {
		return err
	}
	value, err := json.Marshal(claim{Address: c.o.Self.Address, Incarnation: c.o.Self.Incarnation})
	if err != nil {
		return err
	}
	for range claimTries {
		t.claimed, err = c.acquire(ctx, &api.KVPair{Key: c.key(), Value: value, Session: t.session})
		if err != nil || t.claimed {
			return err
		}
		if err := c.evict(ctx, t.session); err != nil {
			return err
		}
	}
	return errors.New("others take the key " + c.key() + " all the time")
}

// renew renews the session, or makes one.
func (c *client) renew(ctx context.Context, t *todo) error {
	ctx, cancel := c.call(ctx)
	defer cancel()
	if t.session != "" {
		if e, _, err := c.api.Session().Renew(t.session, c.write(ctx)); err != nil || e != nil {
			return err
		}
	}
	id, _, err := c.api.Session().CreateNoChecks(&api.SessionEntry{
		Name: "emqttd " + c.o.Self.Name, TTL: max(shortestSession, c.o.TTL).String(),
		Behavior:  api.SessionBehaviorDelete,
		LockDelay: time.Millisecond, // else a node that has crashed could not come back at once
	}, c.write(ctx))
	t.session, t.claimed = id, false
	return err
}

func (c *client) acquire(ctx context.Context, pair *api.KVPair) (bool, error) {
	ctx, cancel := c.call(ctx)
	defer cancel()
	won, _, err := c.api.KV().Acquire(pair, c.write(ctx))
	return won, err
}

// evict ends the session of the holder of our name if that is dead: if we have its
// address, or if nobody listens where it was. So a node that crashed comes back at
// once under its name; whoever does not answer keeps it until its session ends.
func (c *client) evict(ctx context.Context, mine string) error {
	call, cancel := c.call(ctx)
	pair, _, err := c.api.KV().Get(c.key(), (&api.QueryOptions{Datacenter: c.o.Datacenter, RequireConsistent: true}).WithContext(call))
	cancel()
	if err != nil || pair == nil || pair.Session == "" || pair.Session == mine {
		return err // it is free now
	}
	var holder claim
	// What cannot be read is nobody's.
	if json.Unmarshal(pair.Value, &holder) == nil && holder.Address != c.o.Self.Address {
		if err := c.dial(ctx, holder.Address); !errors.Is(err, syscall.ECONNREFUSED) {
			return &Taken{Name: c.o.Self.Name, Address: holder.Address, Sure: err == nil}
		}
	}
	return c.destroy(ctx, pair.Session)
}

// destroy ends a session, and with it what it holds.
func (c *client) destroy(ctx context.Context, session string) error {
	ctx, cancel := c.call(ctx)
	defer cancel()
	_, err := c.api.Session().Destroy(session, c.write(ctx))
	return err
}

// dial asks whether somebody listens at an address.
func dial(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close() // nothing was said
	}
	return err
}

func (c *client) key() string {
	return "emqttd/" + word(c.o.Cluster) + "/nodes/" + c.o.Self.Name
}

// word makes one word of a key of any text: other bytes than those of names become
// _ and two digits.
func word(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}
