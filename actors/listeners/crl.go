package listeners

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// errRevoked ends the handshake of a client whose certificate has been revoked.
var errRevoked = errors.New("the certificate, or one above it, has been revoked")

// revocations are the lists of revoked certificates of a file.
type revocations []revocation

// revocation is one list.
type revocation struct {
	authority *x509.Certificate
	serials   map[string]struct{}
}

// readRevocations reads the lists in a file, PEM or DER. Each must be signed by
// one of the authorities. One that is out of date is used with a warning: to
// refuse everybody because somebody forgot to renew it would be worse.
func readRevocations(name string, authorities []*x509.Certificate, log *slog.Logger) (revocations, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all revocations
	for _, der := range blocks(b, "X509 CRL") {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r := revocation{authority: signerOf(l, authorities), serials: make(map[string]struct{}, len(l.RevokedCertificateEntries))}
		if r.authority == nil {
			return nil, fmt.Errorf("%s: the list of %s is signed by none of the authorities of cacertfile", name, l.Issuer)
		}
		for i := range l.RevokedCertificateEntries {
			r.serials[string(l.RevokedCertificateEntries[i].SerialNumber.Bytes())] = struct{}{}
		}
		if !l.NextUpdate.IsZero() && time.Now().After(l.NextUpdate) {
			log.Warn("a list of revoked certificates is out of date", "crlfile", name, "issuer", l.Issuer.String(), "next_update", l.NextUpdate)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no list of revoked certificates in %s", name)
	}
	return all, nil
}

// blocks are the contents of the PEM blocks of a type; what is no PEM at all is
// one block.
func blocks(b []byte, typ string) [][]byte {
	var all [][]byte
	some := false
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			if !some && len(b) > 0 {
				return [][]byte{b}
			}
			return all
		}
		some = true
		if block.Type == typ {
			all = append(all, block.Bytes)
		}
	}
}

func signerOf(l *x509.RevocationList, authorities []*x509.Certificate) *x509.Certificate {
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, l.RawIssuer) && l.CheckSignatureFrom(a) == nil {
			return a
		}
	}
	return nil
}

// verify refuses a connection, a resumed one too, unless there is a chain to an
// authority in which nothing is revoked.
func (rs revocations) verify(state tls.ConnectionState) error {
	for _, chain := range state.VerifiedChains {
		if !rs.revokes(chain) {
			return nil
		}
	}
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return errRevoked
}

func (rs revocations) revokes(chain []*x509.Certificate) bool {
	for i, cert := range chain[:max(0, len(chain)-1)] {
		for _, r := range rs {
			if !bytes.Equal(r.authority.RawSubject, cert.RawIssuer) ||
				!bytes.Equal(r.authority.RawSubjectPublicKeyInfo, chain[i+1].RawSubjectPublicKeyInfo) {
				continue
			}
			if _, ok := r.serials[string(cert.SerialNumber.Bytes())]; ok {
				return true
			}
		}
	}
	return false
}
