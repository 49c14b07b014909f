package listeners

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

// stapled is an authority, the certificate of a server, and what the authority
// says about it.
type stapled struct {
	t         *testing.T
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	leaf      *x509.Certificate
	options   TLS
}

func newStapled(t *testing.T, responder string) *stapled {
	t.Helper()
	s := &stapled{t: t}
	dir := t.TempDir()
	s.options = TLS{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"), StapleFile: filepath.Join(dir, "ocsp")}
	s.key = s.newKey()
	s.authority = s.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, s.key)
	key := s.newKey()
	s.leaf = s.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, OCSPServer: []string{responder},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(s.options.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	s.write(s.options.CertFile, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.Raw})...))
	return s
}

func (s *stapled) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func (s *stapled) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	parent := s.authority
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

func (s *stapled) write(name string, b []byte) {
	if err := os.WriteFile(name, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// answer is that of the responder.
func (s *stapled) answer(status int, next time.Time) []byte {
	der, err := ocsp.CreateResponse(s.authority, s.authority, ocsp.Response{
		Status: status, SerialNumber: s.leaf.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: next,
	}, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return der
}

// presented is what a client gets with the certificate.
func presented(t *testing.T, c *certificates) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		conn := tls.Server(server, c.current(time.Now()))
		_ = conn.Handshake() // the client tells
	}()
	conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = client.Close(), server.Close()
	return conn.OCSPResponse()
}

func TestStapleIsReadFromItsFile(t *testing.T) {
	s := newStapled(t, "")
	good := s.answer(ocsp.Good, time.Now().Add(time.Hour))
	s.write(s.options.StapleFile, good)
	c := newCertificates(&s.options, slog.New(slog.DiscardHandler))
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	if got := presented(t, c); string(got) != string(good) {
		t.Errorf("%d bytes are stapled", len(got))
	}
	s.write(s.options.StapleFile, s.answer(ocsp.Revoked, time.Now().Add(time.Hour)))
	if err := c.reload(); !errors.Is(err, errNotGood) {
		t.Errorf("revoked: %v", err)
	}
	if got := presented(t, c); string(got) != string(good) {
		t.Errorf("after a bad one %d bytes are stapled", len(got))
	}
	s.write(s.options.StapleFile, s.answer(ocsp.Good, time.Now().Add(-time.Second)))
	if err := c.reload(); err != nil {
		t.Error(err)
	}
	if got := presented(t, c); got != nil {
		t.Error("one that is out of date is stapled")
	}
}

func TestStapleIsAskedForAtTheResponderOfTheCertificate(t *testing.T) {
	asked := make(chan *ocsp.Request, 1)
	var answer []byte
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(b)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
		asked <- q
	}))
	defer responder.Close()
	s := newStapled(t, responder.URL)
	answer = s.answer(ocsp.Good, time.Now().Add(time.Hour))
	s.options.StapleFile, s.options.FetchStaple = "", true
	c := newCertificates(&s.options, slog.New(slog.DiscardHandler))
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { c.keepStapled(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	if q := <-asked; q.SerialNumber.Cmp(s.leaf.SerialNumber) != 0 {
		t.Errorf("it asks about %v", q.SerialNumber)
	}
	for deadline := time.Now().Add(patience); presented(t, c) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("nothing is stapled")
		}
	}
	if err := c.reload(); err != nil { // and asks again
		t.Fatal(err)
	}
	if got := presented(t, c); string(got) != string(answer) {
		t.Errorf("after a reload %d bytes are stapled", len(got))
	}
	<-asked
}

func TestStapleIsRenewedInTimeAndGoesWhenItDoesNotHoldAnyLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStapled(t, "http://responder")
		s.options.StapleFile, s.options.FetchStaple = "", true
		c := newCertificates(&s.options, slog.New(slog.DiscardHandler))
		if err := c.start(); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var asked []time.Duration
		times := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(asked)
		}
		began := time.Now()
		var down atomic.Bool
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		c.fetch = func(context.Context, *tls.Certificate) ([]byte, error) {
			mu.Lock()
			asked = append(asked, time.Since(began).Round(time.Minute))
			mu.Unlock()
			if down.Load() {
				return nil, errors.New("down")
			}
			return s.answer(ocsp.Good, time.Now().Add(19*time.Minute)), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		go c.keepStapled(ctx)
		defer func() { cancel(); synctest.Wait() }()
		pass(11 * time.Minute)
		if at := times(); len(at) != 2 || at[1] != 10*time.Minute {
			t.Errorf("an answer that holds for 20 minutes is asked for after %v", at)
		}
		down.Store(true)
		pass(17 * time.Minute) // until 28; the last answer holds until 29
		if presented(t, c) == nil {
			t.Error("an answer that still holds is dropped")
		}
		pass(40 * time.Minute)
		if presented(t, c) != nil {
			t.Error("an answer that does not hold any longer is stapled")
		}
		if at := times(); len(at) < 6 || len(at) > 9 {
			t.Errorf("a responder that is down is asked %d times: %v", len(at), at)
		}
		down.Store(false)
		pass(time.Hour)
		if presented(t, c) == nil {
			t.Error("nothing is stapled when the responder is there again")
		}
	})
}
