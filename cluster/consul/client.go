package consul

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"emqttd/cluster"
)

// Keys of the service's metadata.
const (
	metaCluster     = "cluster"
	metaNode        = "node"
	metaVersion     = "version"
	metaDist        = "dist"
	metaIncarnation = "incarnation"
)

const (
	// longPoll is how long Consul holds a query back while nothing changes.
	longPoll = 30 * time.Second
	// maxAnswer bounds what is read of an answer: some thousand nodes.
	maxAnswer = 8 << 20
)

// client makes the calls. Its methods block, and are called beside the actor.
type client struct {
	o      *Options
	api    *api.Client
	host   string // of Self.Address
	port   int
	filter string
	dial   func(ctx context.Context, address string) error // see dial
}

func newClient(o *Options) (*client, error) {
	host, service, err := net.SplitHostPort(o.Self.Address)
	if err != nil {
		return nil, fmt.Errorf("consul: address of the node: %w", err)
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		return nil, fmt.Errorf("consul: port of the node: %w", err)
	}
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	a, err := api.NewClient(&api.Config{
		Address: o.Address, Scheme: scheme, Token: o.Token, Datacenter: o.Datacenter,
		HttpClient: &http.Client{Transport: &bounded{transport(o.TLS)}},
	})
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	// The language of filters takes any text between back quotes but these.
	name := strings.ReplaceAll(o.Cluster, "`", "")
	return &client{o: o, api: a, host: host, port: port, filter: "Service.Meta." + metaCluster + " == `" + name + "`", dial: dial}, nil
}

// transport keeps the two connections that are in use: the one that keeps the node
// registered, and the query.
func transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
	}
}

// bounded cuts off answers that are too long to be Consul's.
type bounded struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// call bounds one call.
func (c *client) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.o.Timeout)
}

func (c *client) write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{Datacenter: c.o.Datacenter}).WithContext(ctx)
}

// keep does what is to be done and gives a sign of life.
func (c *client) keep(ctx context.Context, t todo, h Health) keepResult {
	if err := c.claim(ctx, &t); err != nil {
		return keepResult{t, err}
	}
	if !t.registered {
		if err := c.register(ctx); err != nil {
			return keepResult{t, err}
		}
		t.registered = true
	}
	err := c.alive(ctx, h)
	var status api.StatusError
	if errors.As(err, &status) {
		t.registered = false // it was emptied, or has given the node up
	}
	return keepResult{t, err}
}

// register tells the agent of the node.
func (c *client) register(ctx context.Context) error {
	self := &c.o.Self
	meta := map[string]string{
		metaCluster: c.o.Cluster, metaNode: self.Name, metaVersion: self.Version, metaDist: self.Address,
		metaIncarnation: strconv.FormatUint(self.Incarnation, 10),
	}
	for k, v := range c.o.Meta {
		meta[k] = v
	}
	ctx, cancel := c.call(ctx)
	defer cancel()
	return c.api.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: self.Name, Name: c.o.Service, Address: c.host, Port: c.port, Meta: meta,
		Tags: []string{"mqtt", "cluster=" + c.o.Cluster, "version=" + self.Version},
		Check: &api.AgentServiceCheck{
			// It begins as critical, so that the first sign of life is a change and
			// what it says is seen at once: Consul passes on what does not change the
			// status only every few minutes.
			CheckID: c.check(), Name: "emqttd " + self.Name, Status: api.HealthCritical,
			Notes:                          "The node says itself how it is, three times in the TTL.",
			TTL:                            c.o.TTL.String(),
			DeregisterCriticalServiceAfter: c.o.ForgetAfter.String(),
		},
	}, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
}

func (c *client) check() string { return "service:" + c.o.Self.Name }

// alive gives the sign of life.
func (c *client) alive(ctx context.Context, h Health) error {
	status, output := api.HealthPassing, cmp.Or(h.Summary, "the node is well")
	if h.Problem != "" {
		status, output = api.HealthWarning, h.Problem
		if h.Summary != "" {
			output += "; " + h.Summary
		}
	}
	ctx, cancel := c.call(ctx)
	defer cancel()
	return c.api.Agent().UpdateTTLOpts(c.check(), output, status, (&api.QueryOptions{}).WithContext(ctx))
}

// leave takes the node out: service and check, unless another has them now, and the
// claim.
func (c *client) leave(ctx context.Context, t todo) error {
	service, _, err := c.api.Agent().Service(c.o.Self.Name, (&api.QueryOptions{}).WithContext(ctx))
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusNotFound: // it is out already
	case err != nil:
		return err
	case service.Meta[metaIncarnation] == strconv.FormatUint(c.o.Self.Incarnation, 10):
		err = c.api.Agent().ServiceDeregisterOpts(c.o.Self.Name, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
	}
	return c.destroy(ctx, t.session)
}

// watch waits until something differs from what it was at index, and returns the
// other nodes.
func (c *client) watch(ctx context.Context, index uint64) watchResult {
	began := time.Now()
	entries, meta, err := c.instances(ctx, index, longPoll)
	r := watchResult{took: time.Since(began), err: err}
	if err != nil {
		return r
	}
	r.index = meta.LastIndex
	for _, e := range entries {
		if candidate, ok := c.candidate(e.Service); ok {
			r.found = append(r.found, candidate)
		}
	}
	slices.SortFunc(r.found, func(a, b cluster.Candidate) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return r
}

// candidate reads an instance of the service, which anybody may have registered.
func (c *client) candidate(s *api.AgentService) (cluster.Candidate, bool) {
	n := cluster.Candidate{Name: s.Meta[metaNode], Address: s.Meta[metaDist]}
	n.Incarnation, _ = strconv.ParseUint(s.Meta[metaIncarnation], 10, 64) // 0 = not known
	_, _, err := net.SplitHostPort(n.Address)
	return n, err == nil && n.Name != "" && n.Name != c.o.Self.Name && s.Meta[metaCluster] == c.o.Cluster
}

// instances are all nodes of the cluster, whatever their checks say. With a wait it
// returns when that differs from what it was at index.
func (c *client) instances(ctx context.Context, index uint64, wait time.Duration) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	// Consul adds up to a sixteenth to the wait.
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout+wait+wait/8)
	defer cancel()
	entries, meta, err := c.api.Health().Service(c.o.Service, "", false, (&api.QueryOptions{
		Datacenter: c.o.Datacenter, WaitIndex: index, WaitTime: wait, Filter: c.filter,
	}).WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if e == nil || e.Service == nil {
			return nil, nil, errors.New("the answer is not Consul's")
		}
	}
	return entries, meta, nil
}
