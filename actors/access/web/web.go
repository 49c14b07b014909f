// Package web authenticates clients, and decides what they may do, by asking a
// service of the user's over HTTP, with EMQ's three requests.
//
// A client that comes by a WebSocket may be known by the request which became it:
// Options.Headers, Cookie say, are passed on to the service, and such a client needs
// no user name and password.
package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/acl"
	"emqttd/actors/access/template"
)

// Options say what is asked.
type Options struct {
	Auth  Request // who a client is
	Super Request // whether it is a super-user; asked after Auth allowed
	ACL   Request // whether it may do something with a topic
	// JSON sends the parameters as a JSON object instead of a form, except by GET.
	JSON bool
	// Headers of the request that became a WebSocket which are passed on.
	Headers []string
	TLS     *tls.Config // for https; nil trusts the system's authorities
	Pool    int         // most connections to a host; 0 is 8
	// Timeout bounds each request, also where a context has no deadline; 0 is 5 s.
	Timeout time.Duration
	// NoMatch is the answer about a topic for which the service says ignore.
	NoMatch access.Verdict
}

// Module asks a service.
type Module struct {
	client           *http.Client
	transport        *http.Transport
	auth, super, acl *request // nil: not asked
	headers          []string
	noMatch          access.Verdict
}

// New checks the requests. It does not connect. The module is an access.Closer, and
// an access.Judge if Options.ACL is asked.
func New(o Options) (access.Module, error) {
	m := &Module{noMatch: o.NoMatch}
	for _, r := range []struct {
		key  string
		from Request
		to   **request
	}{{"auth_req", o.Auth, &m.auth}, {"super_req", o.Super, &m.super}, {"acl_req", o.ACL, &m.acl}} {
		var err error
		if *r.to, err = parse(r.from, o.JSON); err != nil {
			return nil, fmt.Errorf("auth.http.%s: %w", r.key, err)
		}
	}
	for _, h := range o.Headers {
		m.headers = append(m.headers, http.CanonicalHeaderKey(h))
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Pool == 0 {
		o.Pool = 8
	}
	m.transport = &http.Transport{
		DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSClientConfig:        o.TLS,
		TLSHandshakeTimeout:    o.Timeout,
		MaxConnsPerHost:        o.Pool,
		MaxIdleConnsPerHost:    o.Pool,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
	}
	m.client = &http.Client{
		Transport: m.transport, Timeout: o.Timeout,
		// Somewhere else a password would be sent to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if m.acl != nil {
		return judging{m}, nil
	}
	return m, nil
}

// Close ends the connections that rest.
func (m *Module) Close() error {
	m.transport.CloseIdleConnections()
	return nil
}

// Name is the module's word in the configuration.
func (m *Module) Name() string { return "http" }

// Authenticate asks who the client is. One without a user name or password that the
// request needs is refused without being asked about, unless a header is passed on.
func (m *Module) Authenticate(ctx context.Context, c *access.Credentials) (access.Result, error) {
	if m.auth == nil {
		return access.Result{}, nil
	}
	header, ok := m.header(c.Header)
	if !ok || !template.Sound(c) {
		return access.Result{Verdict: access.Deny, Why: "http: what the client says of itself is not text"}, nil
	}
	lacks := c.Username == "" && m.auth.uses(template.Username) || len(c.Password) == 0 && m.auth.uses(template.Password)
	if lacks && len(header) == 0 {
		return access.Result{Verdict: access.Deny, Why: "http: no user name or password"}, nil
	}
	v := template.Of(c)
	v.Password = string(c.Password)
	a, err := m.ask(ctx, "auth_req", m.auth, &v, header)
	if err != nil {
		return access.Result{}, err
	}
	r := access.Result{Verdict: a.verdict, Superuser: a.super, Why: "http: auth_req"}
	if a.verdict != access.Allow || a.super || m.super == nil {
		return r, nil
	}
	v.Password = "" // not needed for what comes
	if a, err = m.ask(ctx, "super_req", m.super, &v, header); err != nil {
		return access.Result{}, err
	}
	r.Superuser = a.verdict == access.Allow
	return r, nil
}

// judging is a Module that decides about topics, too.
type judging struct{ *Module }

// Authorize asks whether the client may do something with a topic.
func (m judging) Authorize(ctx context.Context, c *access.Credentials, a acl.Action, topic string) (access.Verdict, error) {
	header, ok := m.header(c.Header)
	if !ok || !template.Sound(c) {
		return access.Deny, nil
	}
	v := template.Of(c)
	v.Access, v.Topic = strconv.Itoa(int(a)), topic
	said, err := m.ask(ctx, "acl_req", m.acl, &v, header)
	if err != nil {
		return access.Ignore, err
	}
	if said.verdict == access.Ignore {
		return m.noMatch, nil
	}
	return said.verdict, nil
}

// maxHeader is how long the headers that are passed on may be together.
const maxHeader = 16 << 10

// header is what is passed on of a client's; false if it cannot be.
func (m *Module) header(from http.Header) (http.Header, bool) {
	to := http.Header{}
	size := 0
	for _, name := range m.headers {
		values := from.Values(name)
		if len(values) == 0 {
			continue
		}
		for _, v := range values {
			size += len(v)
			if strings.IndexFunc(v, control) >= 0 {
				return nil, false
			}
		}
		to[name] = values
	}
	return to, size <= maxHeader
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
