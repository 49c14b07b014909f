package scenario

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// revoke writes a list of revoked certificates.
func (a *authority) revoke(name string, serials ...int64) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name, "X509 CRL", der)
}

// numbered is the certificate of a client with a serial number.
func (a *authority) numbered(serial int64) tls.Certificate {
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "numbered"},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func TestRevokedCertificateIsRefusedFromTheReloadOn(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca.server(at("cert"), at("key"), 3)
	ca.write(at("ca"), "CERTIFICATE", ca.cert.Raw)
	ca.revoke(at("crl"), 100)
	p := "listener.ssl.external"
	home := testkit.NewHome(t, p+" = 127.0.0.1:0", p+".certfile = "+at("cert"), p+".keyfile = "+at("key"),
		p+".cacertfile = "+at("ca"), p+".crlfile = "+at("crl"), p+".verify = verify_peer", p+".fail_if_no_peer_cert = true")
	home.Foreground()
	addr := addressIn(t, home, "mqtt:ssl")
	caches := map[string]tls.ClientSessionCache{} // by certificate
	connect := func(cert tls.Certificate) (*tls.Conn, error) {
		key := string(cert.Certificate[0])
		if caches[key] == nil {
			caches[key] = tls.NewLRUClientSessionCache(1)
		}
		c := tls.Client(dial(t, addr), &tls.Config{
			RootCAs: ca.pool, ServerName: "localhost", Certificates: []tls.Certificate{cert}, ClientSessionCache: caches[key],
		})
		if _, err := c.Write(testkit.Hello("").Append(nil, mqtt.V311)); err != nil {
			return nil, err
		}
		_, err := io.ReadFull(c, make([]byte, 4))
		return c, err
	}
	reload := func(want string, code int, args ...string) {
		t.Helper()
		if o := home.Ctl(append([]string{"listeners", "reload"}, args...)...); o.Code != code || !strings.Contains(o.Stdout, want) {
			t.Errorf("exit %d: %s%s", o.Code, o.Stdout, o.Stderr)
		}
	}
	if _, err := connect(ca.numbered(100)); err == nil {
		t.Error("a certificate that was revoked from the start is good")
	}
	cert := ca.numbered(200)
	there, err := connect(cert)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := connect(cert); err != nil || !again.ConnectionState().DidResume {
		t.Fatalf("sessions are not resumed: %v", err)
	}
	ca.revoke(at("crl"), 100, 200)
	reload("ok", 0, "ssl.external")
	if _, err := connect(cert); err == nil {
		t.Error("a certificate that was revoked later is good")
	}
	if _, err := connect(ca.numbered(300)); err != nil {
		t.Error(err)
	}
	testkit.NewClient(t, there).Ping()
	if out := home.Ctl("listeners").Stdout; !strings.Contains(out, "{tls_revoked,2}") {
		t.Errorf("they are not counted:\n%s", out)
	}

	newAuthority(t).revoke(at("crl"))
	reload("signed by none of the authorities", 1, "ssl.external")
	reload("signed by none of the authorities", 1)
	if _, err := connect(cert); err == nil {
		t.Error("a bad list has taken the place of the good one")
	}
	reload("no certificates", 1, "tcp.external")
	reload("no such listener", 1, "ssl.other")
}
