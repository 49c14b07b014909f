package consul

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"emqttd/actors/kernel"
	"emqttd/tests/backends/servers"
)

func TestANodeIsAServiceAsUsersOfConsulExpectIt(t *testing.T) {
	s := servers.Consul(t)
	o := options(s.Addr)
	o.Meta = map[string]string{"listener-tcp-external": "0.0.0.0:1883"}
	n := start(t, o)
	e := entry(t, s, &o, func(e *api.ServiceEntry) bool { return e.Checks.AggregatedStatus() == api.HealthPassing })
	if e.Service.Address != "127.0.0.1" || e.Service.Port != 1 || !slices.Contains(e.Service.Tags, "cluster="+o.Cluster) ||
		!slices.Contains(e.Service.Tags, "version=0.1.0") {
		t.Errorf("service %+v", e.Service)
	}
	for key, want := range map[string]string{
		"cluster": o.Cluster, "node": o.Self.Name, "version": "0.1.0", "dist": "127.0.0.1:1", "listener-tcp-external": "0.0.0.0:1883",
	} {
		if got := e.Service.Meta[key]; got != want {
			t.Errorf("meta %s = %q, want %q", key, got, want)
		}
	}
	output := func(status, text string) func(*api.ServiceEntry) bool {
		return func(e *api.ServiceEntry) bool {
			return slices.ContainsFunc(e.Checks, func(c *api.HealthCheck) bool { return c.Status == status && c.Output == text })
		}
	}
	entry(t, s, &o, output(api.HealthPassing, "alone"))
	n.note(func() { n.health.Problem = "the disk is full" })
	entry(t, s, &o, output(api.HealthWarning, "the disk is full; alone"))

	n.end(t)
	all, _, err := outside(t, s).Health().Service(o.Service, "", false, nil)
	if err != nil || len(all) != 0 {
		t.Errorf("after a graceful stop Consul knows %v, %v", all, err)
	}
	if keys, _, err := outside(t, s).KV().Keys("emqttd/", "", nil); err != nil || slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, o.Self.Name) }) {
		t.Errorf("the name is still claimed: %v, %v", keys, err)
	}
}

func TestNodesOfOneClusterFindEachOther(t *testing.T) {
	s := servers.Consul(t)
	o1 := options(s.Addr)
	o2, stranger := next(o1, 2), next(o1, 3)
	stranger.Cluster = "another"
	n1, n2, n3 := start(t, o1), start(t, o2), start(t, stranger)
	n1.await(t, "the second node", finds(o2.Self.Name))
	n2.await(t, "the first node", finds(o1.Self.Name))
	n3.await(t, "the answer that there is nobody", func(n *node) bool { return n.found == nil })
	if c := n1.found[0]; c.Address != o2.Self.Address || c.Incarnation != o2.Self.Incarnation {
		t.Errorf("found %+v, want %+v", c, o2.Self)
	}
	n2.end(t)
	n1.await(t, "the end of the second node", finds())
}

func TestConsulIsReachedByTLS(t *testing.T) {
	s := servers.Consul(t)
	pem, err := os.ReadFile(s.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	o := options(s.TLSAddr)
	o.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	o.TLS.RootCAs.AppendCertsFromPEM(pem)
	start(t, o)
	entry(t, s, &o, registered)

	o = options(s.TLSAddr)
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12} // trusts nobody whom the test has made
	start(t, o).await(t, "the alarm", raised(AlarmUnreachable))
}

func TestConsulThatComesBackEmptyIsToldAgain(t *testing.T) {
	s := servers.Consul(t)
	o1 := options(s.Addr)
	o2 := next(o1, 2)
	n1, n2 := start(t, o1), start(t, o2)
	n1.await(t, "the second node", finds(o2.Self.Name))
	s.Stop(t)
	n1.await(t, "the alarm", raised(AlarmUnreachable))
	s.Start(t)
	for _, n := range []*node{n1, n2} {
		entry(t, s, &n.o, registered)
		n.await(t, "the end of the alarm", cleared(AlarmUnreachable))
	}
	n1.await(t, "the second node", finds(o2.Self.Name))
	if got := len(n1.alarms); got != 2 {
		t.Errorf("one outage was told %d times: %v", got, n1.alarms)
	}
}

func TestANodeStartsWithoutConsulAndRegistersLater(t *testing.T) {
	s := servers.Consul(t)
	s.Stop(t)
	n := start(t, options(s.Addr))
	n.await(t, "the alarm", raised(AlarmUnreachable))
	s.Start(t)
	entry(t, s, &n.o, registered)
	n.await(t, "the end of the alarm", cleared(AlarmUnreachable))
}

func TestAFrozenConsulHoldsNothingUp(t *testing.T) {
	s := servers.Consul(t)
	n := start(t, options(s.Addr))
	entry(t, s, &n.o, registered)
	s.Freeze(t)
	n.await(t, "the alarm", raised(AlarmUnreachable))
	late := start(t, next(n.o, 2)) // it waits for one call only
	s.Thaw(t)
	entry(t, s, &late.o, registered)
	n.await(t, "the end of the alarm", cleared(AlarmUnreachable))
	n.await(t, "the node that came meanwhile", finds(late.o.Self.Name))
}

func TestACrashOfTheActorCostsNothing(t *testing.T) {
	s := servers.Consul(t)
	o1 := options(s.Addr)
	o2 := next(o1, 2)
	n1, n2 := start(t, o1), start(t, o2)
	n1.await(t, "the second node", finds(o2.Self.Name))
	n1.system.Root.Send(n1.system.NewLocalPID("node/consul"), &kernel.Kill{})
	n2.end(t)
	n1.await(t, "the end of the second node", finds())
	entry(t, s, &o1, func(e *api.ServiceEntry) bool { return e.Checks.AggregatedStatus() == api.HealthPassing })
}

func TestARefusedTokenIsAnAlarm(t *testing.T) {
	answers := make(chan int, 1000)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Consul-Token") != "sesame" {
			answers <- 0
		}
		http.Error(w, "Permission denied: token with AccessorID 'x' lacks permission 'service:write'", http.StatusForbidden)
	})
	o := options(s)
	o.Token = "sesame"
	n := start(t, o)
	n.await(t, "the alarm", raised(AlarmUnreachable))
	if got := n.alarms[0].Summary; !strings.Contains(got, "Permission denied") {
		t.Errorf("the alarm says %q", got)
	}
	if len(answers) > 0 {
		t.Error("a call had no token")
	}
}

func TestAnIndexThatGoesBackStartsAnew(t *testing.T) {
	w := newWatcher()
	for _, step := range []struct{ index, want uint64 }{{7, 7}, {9, 9}, {3, 3}, {0, 1}} {
		if _, changed := w.took(&watchResult{index: step.index}); changed != (step.index == 7) || w.index != step.want {
			t.Errorf("after index %d: %d, changed %v", step.index, w.index, changed)
		}
	}
	if w.took(&watchResult{err: os.ErrDeadlineExceeded}); w.index != 0 {
		t.Errorf("after an error: %d", w.index)
	}
}

func TestPausesGrowUpToTheirLimit(t *testing.T) {
	b := backoff{most: 10 * time.Second}
	longest := firstPause
	for n := range 100 {
		if d := b.failed(); d > longest || d < longest*3/4 {
			t.Fatalf("pause %d is %v, want %v less a quarter at most", n, d, longest)
		}
		longest = min(2*longest, b.most)
	}
	if b.reset(); b.failed() > firstPause {
		t.Error("a success does not shorten the pauses")
	}
}
