package connections

import (
	"context"
	"sync"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/sessions"
	"emqttd/protocol"
)

// admit asks the access chain about the CONNECT.
func (h *handshake) admit(cred *access.Credentials) (*access.Identity, error) {
	ctx := context.Background()
	if t := h.settings.IdleTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	return h.decided(h.rt.Access.Admit(ctx, cred))
}

// decided turns the chain's decision into the answer to the CONNECT.
func (h *handshake) decided(id *access.Identity, d access.Decision, why string) (*access.Identity, error) {
	if err := verdict(d); err != nil {
		h.why = why
		return nil, err
	}
	return id, nil
}

func verdict(d access.Decision) error {
	switch d {
	case access.Accept:
		return nil
	case access.BadCredential:
		return &refusal{code: protocol.BadUserNameOrPassword, reason: "auth_failure"}
	case access.Unavailable:
		return &refusal{code: protocol.ServerUnavailable, reason: "auth_unavailable"}
	case access.Banned:
		return &refusal{code: protocol.Banned, reason: "banned"}
	case access.TooManyAttempts:
		return &refusal{code: protocol.ConnectionRateExceeded, reason: "too_many_attempts"}
	default:
		return &refusal{code: protocol.NotAuthorized, reason: "not_authorized"}
	}
}

// roster knows the connections that are online, to find those whom a change of
// the access rules concerns.
type roster struct{ parts [rosterParts]rosterPart }

const rosterParts = 64

type rosterPart struct {
	mu   sync.Mutex
	list []*connection // each knows its place
}

func (r *roster) part(c *connection) *rosterPart { return &r.parts[c.gen%rosterParts] }

func (r *roster) add(c *connection) {
	p := r.part(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.place = uint32(len(p.list))
	p.list = append(p.list, c)
}

// remove takes c out, if it is there; the last one takes its place.
func (r *roster) remove(c *connection) {
	p := r.part(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(c.place) >= len(p.list) || p.list[c.place] != c {
		return
	}
	n := len(p.list) - 1
	last := p.list[n]
	p.list[c.place], last.place = last, c.place
	p.list[n] = nil
	p.list = p.list[:n]
}

// matching are the connections whom a change concerns.
func (r *roster) matching(s access.Selector) (found []*connection) {
	for i := range r.parts {
		p := &r.parts[i]
		p.mu.Lock()
		for _, c := range p.list {
			if c.identity.Is(s) {
				found = append(found, c)
			}
		}
		p.mu.Unlock()
	}
	return found
}

// rejudgers is how many clients are judged anew at a time: each may wait for a
// back end.
const rejudgers = 32

// AccessChanged judges the clients anew whom a change of users, rules or bans
// concerns: those who may not stay are sent away, of the others subscriptions
// that are not allowed any more end. It returns when all have been judged.
func (rt *Runtime) AccessChanged(s access.Selector) {
	turns := make(chan struct{}, rejudgers)
	var wait sync.WaitGroup
	for _, c := range rt.roster.matching(s) {
		turns <- struct{}{}
		wait.Go(func() {
			c.rejudge()
			<-turns
		})
	}
	wait.Wait()
}

// rejudgeTime bounds what a back end may take for one client.
const rejudgeTime = 10 * time.Second

func (c *connection) rejudge() {
	ctx, cancel := context.WithTimeout(context.Background(), rejudgeTime)
	defer cancel()
	root := c.rt.System.Root
	if !c.identity.Refresh(ctx) {
		root.Send(c.self, &revoked{})
		return
	}
	root.Send(c.reader.session, &sessions.Rejudge{Generation: c.gen, Judge: c.judge()})
}

// revoked ends the connection of a client that may not be connected any more.
type revoked struct{}

func (*revoked) IgnoreDeadLetterLogging() {}
