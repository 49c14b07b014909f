package listeners

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// ownLifetime is how long a certificate of our own is good. Nobody renews it.
const ownLifetime = 10 * 365 * 24 * time.Hour

// makeCertificate makes a key, and a certificate signed with it for this host,
// unless the files exist.
func makeCertificate(certFile, keyFile string) (made bool, err error) {
	for _, name := range []string{certFile, keyFile} {
		if there, err := exists(name); there || err != nil {
			return false, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, err
	}
	cert, err := selfSigned(key)
	if err != nil {
		return false, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return false, err
	}
	return true, errors.Join(
		writePEM(keyFile, "PRIVATE KEY", encoded, 0o600),
		writePEM(certFile, "CERTIFICATE", cert, 0o644))
}

func selfSigned(key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "localhost" {
		names = append(names, host)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: names[len(names)-1], Organization: []string{"emqttd"}},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(ownLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},

		BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

func writePEM(name, typ string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: typ, Bytes: b}), f.Close())
}
