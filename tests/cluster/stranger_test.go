package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStrangersStayOutside: whoever lacks the cookie, the name of the cluster or a
// certificate does not become a member, and the others go on.
func TestStrangersStayOutside(t *testing.T) {
	r := boot(t, 2)
	insiders := slices.Clone(r.nodes)
	strangers := []*node{
		r.add("node.cookie = a guess"),
		r.add("cluster.name = another", "cluster.discovery = static", "cluster.static.seeds = "+insiders[0].seen),
		r.add(tlsLines(t, newAuthority(t))...),
	}
	r.start(strangers...)
	for _, n := range insiders {
		garbage(t, n.dist)
	}
	strangers[0].awaitLog("reason=cookie")
	strangers[1].awaitLog("reason=cluster")
	r.awaitMembers(insiders...)
	for _, n := range strangers {
		r.awaitMembers(n)
	}
	r.reachable(insiders)
}

// garbage is what a port scan and a fuzzer send.
func garbage(t *testing.T, address string) {
	t.Helper()
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat("\x00", 1<<16), "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1<<10), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x00",
	} {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text) // it may have had enough already
		_ = c.Close()
	}
}

func TestNodesWithCertificatesOfOneAuthorityAreACluster(t *testing.T) {
	a := newAuthority(t)
	r := prepare(t, 0)
	for range 2 {
		r.add(tlsLines(t, a)...)
	}
	r.start(r.nodes...)
	r.awaitMembers(r.nodes...)
	r.reachable(r.nodes)
}

// TestANameThatIsTakenIsRefusedInOneLine: a name belongs to one node.
func TestANameThatIsTakenIsRefusedInOneLine(t *testing.T) {
	r := boot(t, 1)
	second := r.add("node.name = " + r.nodes[0].NodeName())
	second.launch()
	if code := second.proc.Wait(); code == 0 {
		t.Error("the second node has started")
	}
	if log := second.proc.Log(); !strings.Contains(log, "node.name "+r.nodes[0].NodeName()+" is taken by the node at "+r.nodes[0].seen) {
		t.Errorf("it says %s", log)
	}
	r.nodes[0].kill()
	r.nodes[0].again() // at once
	r.awaitMembers(r.nodes[0])
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = a.sign(t, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "authority of the tests"},
	}, key, a.file)
	return a
}

// sign writes a certificate for a key.
func (a *authority) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey, file string) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template // it signs itself
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return cert
}

// tlsLines are the settings of a node that has a certificate of the authority.
func tlsLines(t *testing.T, a *authority) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.sign(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key, certFile)
	bare, err := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bare}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return []string{"cluster.tls.cacertfile = " + a.file, "cluster.tls.certfile = " + certFile, "cluster.tls.keyfile = " + keyFile}
}
