package listeners

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/crypto/ocsp"
)

// staple is what the authority of a certificate says about it, for clients who
// would else have to ask. The zero value is none.
type staple struct {
	raw  []byte
	leaf []byte    // the certificate, DER
	next time.Time // when there will be something newer; zero if nobody knows
}

// attach gives config its staple, if it is for its certificate and still holds.
func (s *staple) attach(config *tls.Config) {
	cert := &config.Certificates[0]
	cert.OCSPStaple = nil
	if s.raw != nil && bytes.Equal(s.leaf, cert.Certificate[0]) && !s.over(time.Now()) {
		cert.OCSPStaple = s.raw
	}
}

func (s *staple) over(now time.Time) bool { return !s.next.IsZero() && now.After(s.next) }

var (
	errNoIssuer    = errors.New("certfile does not hold the authority's certificate")
	errNoResponder = errors.New("the certificate names no responder")
	errNotGood     = errors.New("the authority does not say that the certificate is good")
)

// chainOf is a certificate and the one that signed it.
func chainOf(cert *tls.Certificate) (leaf, issuer *x509.Certificate, err error) {
	if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return nil, nil, err
	}
	if len(cert.Certificate) < 2 {
		return nil, nil, errNoIssuer
	}
	issuer, err = x509.ParseCertificate(cert.Certificate[1])
	return leaf, issuer, err
}

// parseStaple checks an answer about the certificate of pair.
func parseStaple(raw []byte, pair *tls.Certificate) (staple, *ocsp.Response, error) {
	leaf, issuer, err := chainOf(pair)
	if err != nil {
		return staple{}, nil, err
	}
	r, err := ocsp.ParseResponseForCert(raw, leaf, issuer)
	switch {
	case err != nil:
		return staple{}, nil, err
	case r.Status != ocsp.Good:
		return staple{}, nil, errNotGood
	}
	return staple{raw: raw, leaf: pair.Certificate[0], next: r.NextUpdate}, r, nil
}

// readStaple reads an answer from a file.
func readStaple(name string, pair *tls.Certificate) (staple, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return staple{}, err
	}
	s, _, err := parseStaple(raw, pair)
	if err != nil {
		return staple{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// fetcher asks the responder of a certificate.
type fetcher func(ctx context.Context, pair *tls.Certificate) ([]byte, error)

// How long a responder may take, and how much it may say.
const (
	responderTime = 10 * time.Second
	maxStaple     = 64 << 10
)

// askResponder is the fetcher that goes over the network.
func askResponder(ctx context.Context, pair *tls.Certificate) ([]byte, error) {
	leaf, issuer, err := chainOf(pair)
	if err != nil {
		return nil, err
	}
	if len(leaf.OCSPServer) == 0 {
		return nil, errNoResponder
	}
	question, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, responderTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, leaf.OCSPServer[0], bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Close = true // the next one is hours away
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // has been read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the responder answers %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxStaple))
}

// How long to wait before asking again: after an answer half as long as it
// holds, within these bounds; after a failure twice as long as the last time.
const (
	soonestStaple = time.Minute
	latestStaple  = 24 * time.Hour
	failedStaple  = time.Hour
)

// keepStapled asks for what is stapled to the certificate, again and again until
// ctx ends. The listener works without an answer.
func (c *certificates) keepStapled(ctx context.Context) {
	failures := 0
	for {
		select {
		case <-c.changed: // is what we are about to ask for
		default:
		}
		wait, err := c.renewStaple(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = min(soonestStaple<<min(failures, 6), failedStaple)
			failures++
			c.log.Warn("no OCSP answer for the certificate", "certfile", c.options.CertFile, "error", err, "next", wait)
		default:
			failures = 0
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.changed: // another certificate
			timer.Stop()
		case <-timer.C:
		}
	}
}

// renewStaple asks once, and puts the answer to use. An old one goes when it does
// not hold any longer.
func (c *certificates) renewStaple(ctx context.Context) (wait time.Duration, err error) {
	pair := &c.config.Load().Certificates[0]
	var s staple
	var r *ocsp.Response
	raw, err := c.fetch(ctx, pair)
	if err == nil {
		s, r, err = parseStaple(raw, pair)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.staple = s
		wait = latestStaple
		if !s.next.IsZero() {
			wait = min(max(soonestStaple, s.next.Sub(r.ThisUpdate)/2), latestStaple)
		}
	}
	config := c.config.Load().Clone() // keeps the keys of session tickets
	config.Certificates = []tls.Certificate{config.Certificates[0]}
	c.staple.attach(config)
	c.config.Store(config)
	return wait, err
}
