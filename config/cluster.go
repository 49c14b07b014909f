package config

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// The values of cluster.discovery.
const (
	Manual = "manual" // emqttd_ctl cluster join
	Static = "static" // the addresses of cluster.static.seeds
	Consul = "consul"
)

// distPort is the port of a node of which only the name is known: that of the
// default of node.dist_listen.
const distPort = "6369"

// Cluster is how nodes find each other, and what they check when they meet.
type Cluster struct {
	// Name is the cluster's name. Nodes with different names do not join.
	Name string `conf:"name" validate:"required,max=255"`
	// Discovery is Manual, Static or Consul.
	Discovery string `conf:"discovery"`
	// Autoclean is how long a node must have given no sign of life before Consul
	// forgets it, which does not do so within a minute.
	Autoclean time.Duration `conf:"autoclean" validate:"min=1m"`
	// Seeds are host:port of nodes, for Static.
	Seeds []string `conf:"static.seeds"`
	// Consul is how Consul is reached, for Discovery = Consul.
	Consul ClusterConsul `conf:"consul"`
	// TLS is for both directions between nodes; see ClusterTLS.On.
	TLS ClusterTLS `conf:"tls"`
}

// ClusterConsul is how Consul is reached and what it is told.
type ClusterConsul struct {
	// Address is host:port of its HTTP API.
	Address    string `conf:"address" validate:"required"`
	Token      Secret `conf:"token"`
	Datacenter string `conf:"datacenter"`
	// Service is the name of the service as which nodes are registered.
	Service string `conf:"service" validate:"required,max=63"`
	// TTL is how long Consul waits for a sign of life.
	TTL time.Duration `conf:"ttl" validate:"min=1s,max=1h"`
	// Timeout is how long a call may take.
	Timeout time.Duration `conf:"timeout" validate:"min=100ms,max=1m"`
	// SSL says that the API is reached by TLS.
	SSL bool      `conf:"tls"`
	TLS ConsulTLS `conf:"tls"`
}

// ConsulTLS is how Consul is reached by TLS. Paths: see Config.Path.
type ConsulTLS struct {
	TLSClient
	// ServerName is the name in Consul's certificate; empty: the host of Address.
	ServerName string `conf:"server_name"`
}

// ClusterTLS are the files of TLS between nodes: all three, or none. Paths: see
// Config.Path.
type ClusterTLS struct {
	CACertFile string `conf:"cacertfile"`
	CertFile   string `conf:"certfile"`
	KeyFile    string `conf:"keyfile"`
}

// On tells whether nodes speak TLS with each other.
func (t ClusterTLS) On() bool { return t.CertFile != "" }

// NodeAddress is host:port of a node that is named in one of the ways of
// cluster.static.seeds. One that EMQ knew by name is found at the port that is the
// default.
func NodeAddress(text string) (string, error) {
	if _, host, named := strings.Cut(text, "@"); named {
		if !nodeName.MatchString(text) {
			return "", errSeed
		}
		text = host
		if ip, err := netip.ParseAddr(host); err == nil {
			text = net.JoinHostPort(ip.String(), distPort)
		} else if !strings.Contains(host, ":") {
			text = net.JoinHostPort(host, distPort)
		}
	}
	v, err := parseHostPort(text)
	address, _ := v.(string)
	if err != nil || strings.HasSuffix(address, ":0") || isUnspecified(address) {
		return "", errSeed
	}
	return address, nil
}

var errSeed = errors.New("expected host:port or name@host, such as 192.0.2.7:6369 or emq2@node2.example.com")

// parseSeeds reads the addresses of nodes.
func parseSeeds(text string) (any, error) {
	all := parseList(text)
	for i, w := range all {
		address, err := NodeAddress(w)
		if err != nil {
			return nil, err
		}
		all[i] = address
	}
	return all, nil
}

// checkCluster refuses what cannot find or trust another node, and warns of what
// has no effect.
func (d *decoder) checkCluster(cfg *Config) {
	c := &cfg.Cluster
	if c.Discovery == Static && len(c.Seeds) == 0 && !d.wrong(d.at("cluster.static.seeds")) {
		d.report(d.at("cluster.discovery"), Conflict, "cluster.static.seeds names no node")
	}
	for _, key := range []string{"cacertfile", "certfile", "keyfile"} {
		if s := d.at("cluster.tls." + key); s.Value == "" && (c.TLS.CACertFile != "" || c.TLS.CertFile != "" || c.TLS.KeyFile != "") {
			d.report(s, Conflict, "TLS between nodes needs cluster.tls.cacertfile, cluster.tls.certfile and cluster.tls.keyfile")
		}
	}
	if t := c.Consul.TLS; (t.CertFile == "") != (t.KeyFile == "") {
		d.report(d.at("cluster.consul.tls.certfile"), Conflict, "certfile and keyfile belong together")
	}
	if c.Discovery != Manual && isLoopback(cfg.Node.DistAdvertise) && !isLoopback(cfg.Node.DistListen) {
		d.report(d.at("node.dist_advertise"), Conflict, "nodes of other hosts cannot reach a loopback address")
	}
	for key, s := range d.settings {
		rest, _ := strings.CutPrefix(key, "cluster.")
		way, _, _ := strings.Cut(rest, ".")
		if s.Where != "" && (way == Static || way == Consul) && way != c.Discovery && !d.wrong(s) {
			d.report(s, NoEffect, "has no effect: cluster.discovery is "+c.Discovery)
		}
	}
}
