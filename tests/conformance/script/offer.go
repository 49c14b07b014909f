package script

import (
	"errors"
	"fmt"
	"strings"

	"emqttd/tests/conformance/wire"
)

// absent is what a server says by saying nothing in its CONNACK.
var absent = map[string]string{
	"aliasmax": "0", "maxqos": "2", "retainavail": "1", "wild": "1", "subidavail": "1", "shared": "1", "recvmax": "65535",
}

// need ends a test undecided unless the broker's CONNACK matches.
func (r *run) need(c *client, args []string) error {
	p, err := c.offer()
	if err != nil {
		return err
	}
	for _, a := range args {
		r.needed[a[:strings.IndexAny(a, "!<>=")]] = true
	}
	if err := r.match(p, args); err != nil {
		return fmt.Errorf("%w: CONNACK says: %w", ErrUndecided, err)
	}
	return nil
}

// offer is the CONNACK with what it leaves unsaid.
func (c *client) offer() (*wire.Packet, error) {
	p := c.connack
	if p == nil {
		return nil, errors.New("there was no CONNACK")
	}
	for k, v := range absent {
		if _, ok := p.Get(k); !ok && c.level == wire.V5 {
			if err := p.Set(k, v); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// offered ends a test undecided that is about to use what the broker does not
// offer, if this is not what the test is about.
func (r *run) offered(c *client, p *wire.Packet) error {
	if c.level != wire.V5 || c.connack == nil {
		return nil
	}
	has, err := c.offer()
	if err != nil {
		return err
	}
	for _, use := range uses(p) {
		have, _ := has.Get(use.field)
		if have < use.least && !r.needed[use.field] {
			return fmt.Errorf("%w: CONNACK says: %s is %s", ErrUndecided, use.field, have)
		}
	}
	return nil
}

type use struct{ field, least string }

// uses lists what a packet takes for granted.
func uses(p *wire.Packet) (all []use) {
	switch p.Type {
	case wire.Publish:
		if p.Flags&1 != 0 {
			all = append(all, use{"retainavail", "1"})
		}
		if qos, _ := p.Get("qos"); qos <= "2" {
			all = append(all, use{"maxqos", qos})
		}
	case wire.Subscribe:
		if _, ok := p.Get("subid"); ok {
			all = append(all, use{"subidavail", "1"})
		}
		for _, f := range p.Filters {
			if strings.HasPrefix(f.Name, "$share/") {
				all = append(all, use{"shared", "1"})
			}
			if strings.ContainsAny(f.Name, "+#") {
				all = append(all, use{"wild", "1"})
			}
		}
	}
	return all
}
