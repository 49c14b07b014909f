package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const anAPI = "listener.api.a = 127.0.0.1:1\n"

func TestSeedsAreAddressesOrNamesOfNodes(t *testing.T) {
	tests := map[string]string{
		"192.0.2.7:7000, node2.example.com:6369": "192.0.2.7:7000 node2.example.com:6369",
		"emq1@192.0.2.7,emq2@node2.example.com":  "192.0.2.7:6369 node2.example.com:6369",
		"emq1@node1:7000":                        "node1:7000",
		"emq1@2001:db8::7":                       "[2001:db8::7]:6369",
		"[2001:db8::7]:7000":                     "[2001:db8::7]:7000",
		"node1":                                  "",
		"emq1@":                                  "",
		"a b@node1":                              "",
		"node1:0":                                "",
		"0.0.0.0:6369":                           "",
		"node1:70000":                            "",
	}
	for text, want := range tests {
		got, err := parseSeeds(text)
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", text, err)
		} else if err == nil && strings.Join(got.([]string), " ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestEveryWayToFindOtherNodesIsReadFromTheFile(t *testing.T) {
	c := load(t, anAPI+"cluster.discovery = consul\ncluster.autoclean = 2m\ncluster.consul.address = consul.example.com:8501\n"+
		"cluster.consul.token = sesame\ncluster.consul.datacenter = dc2\ncluster.consul.service = mqtt\ncluster.consul.ttl = 3s\n"+
		"cluster.consul.timeout = 2s\ncluster.consul.tls = on\ncluster.consul.tls.cacertfile = etc/ca.pem\n"+
		"cluster.consul.tls.server_name = server.dc2.consul\ncluster.consul.tls.verify = verify_none\n"+
		"cluster.tls.cacertfile = a\ncluster.tls.certfile = b\ncluster.tls.keyfile = c\n").Cluster
	want := ClusterConsul{
		Address: "consul.example.com:8501", Token: "sesame", Datacenter: "dc2", Service: "mqtt", TTL: 3 * time.Second,
		Timeout: 2 * time.Second, SSL: true,
		TLS: ConsulTLS{TLSClient: TLSClient{CACertFile: "etc/ca.pem", NoVerify: true}, ServerName: "server.dc2.consul"},
	}
	if c.Discovery != Consul || c.Consul != want || c.Autoclean != 2*time.Minute || !c.TLS.On() || c.TLS != (ClusterTLS{"a", "b", "c"}) {
		t.Errorf("got %#v", c)
	}
	c = load(t, anAPI+"cluster.discovery = static\ncluster.static.seeds = emq1@127.0.0.1,127.0.0.1:6370\n").Cluster
	if c.Discovery != Static || !slices.Equal(c.Seeds, []string{"127.0.0.1:6369", "127.0.0.1:6370"}) || c.TLS.On() {
		t.Errorf("got %#v", c)
	}
}

func TestAClusterOrACollectorThatCannotWorkIsRefused(t *testing.T) {
	tests := map[string]string{
		"cluster.discovery = mcast":                    "emq.conf:2: cluster.discovery: this version has no discovery by multicast; make it one of manual, static, consul",
		"cluster.discovery = k8s":                      "no discovery by Kubernetes",
		"cluster.discovery = zeroconf":                 "expected one of manual, static, consul",
		"cluster.discovery = static":                   "emq.conf:2: cluster.discovery: cluster.static.seeds names no node",
		"cluster.static.seeds = node1":                 "expected host:port or name@host",
		"cluster.tls.certfile = a":                     "TLS between nodes needs cluster.tls.cacertfile",
		"cluster.consul.tls.keyfile = a":               "certfile and keyfile belong together",
		"cluster.consul.address = nowhere":             "expected host:port",
		"cluster.autoclean = 10s":                      "must be at least 1m",
		"cluster.consul.ttl = 100ms":                   "must be at least 1s",
		"cluster.consul.service =":                     "a value is required",
		"node.proto_dist = inet_tls":                   "cluster.tls.certfile",
		"cluster.discovery = manual":                   "",
		"trace.otlp.endpoint = collector:4318":         "emq.conf:2: trace.otlp.endpoint: expected a URL, http://host:port",
		"trace.otlp.sample = 1.1":                      "emq.conf:2: trace.otlp.sample: must be at most 1",
		"trace.otlp.endpoint = http://127.0.0.1:4318":  "",
		"node.dist_listen = 192.0.2.7:6369":            "everybody knows the cookie",
		"node.cookie = own\nnode.dist_listen = 0:6369": "expected a port",
		"node.cookie = own\ncluster.discovery = consul\nnode.dist_listen = 0.0.0.0:6369\nnode.dist_advertise = 127.0.0.1:6369": "nodes of other hosts cannot reach a loopback address",
	}
	for text, want := range tests {
		_, p := Load(Sources{File: write(t, anAPI+text+"\n")})
		var got strings.Builder
		for _, e := range p.Errors {
			got.WriteString(e.String() + "\n")
		}
		if (got.Len() > 0) != (want != "") || !strings.Contains(got.String(), want) {
			t.Errorf("%s: got %q, want %q", text, got.String(), want)
		}
	}
}

func TestSettingsOfAnotherWayToFindNodesAreReported(t *testing.T) {
	_, p := Load(Sources{File: write(t, anAPI+"cluster.discovery = consul\ncluster.static.seeds = node1:6369\ncluster.consul.token = a\n")})
	if got := p.String(); !strings.Contains(got, "warning: ") || !strings.Contains(got, "cluster.static.seeds: has no effect: cluster.discovery is consul") ||
		strings.Contains(got, "cluster.consul") {
		t.Errorf("got %s", got)
	}
}
