package listeners

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// TLS says how a listener speaks it. Paths are absolute or relative to the
// working directory.
type TLS struct {
	CertFile, KeyFile string
	// Make makes the two files where neither exists.
	Make bool
	// CAFile holds the authorities that sign the certificates of clients.
	CAFile string
	// VerifyPeer asks clients for a certificate, Require refuses those without.
	VerifyPeer, Require bool
	// CRLFile lists certificates of clients that are refused; empty for none.
	CRLFile string
	// FetchStaple asks the certificate's authority for what is stapled to it;
	// StapleFile holds that instead.
	FetchStaple bool
	StapleFile  string
	// UserName is the part of a client's certificate that is its user name: cn,
	// dn or nothing.
	UserName string
	// Lowest and Highest are versions as crypto/tls numbers them, and Ciphers
	// suites; 0 and nil leave it to crypto/tls.
	Lowest, Highest uint16
	Ciphers         []uint16
	NoTickets       bool
	Timeout         time.Duration // for a handshake; 0 is 15 s
}

// handshakeTimeout is that of EMQ.
const handshakeTimeout = 15 * time.Second

// lookAgain is how often at most the files are looked at, by handshakes: a
// certificate that was replaced is in use after that.
const lookAgain = time.Second

// stamp changes when one of the files does.
func (o *TLS) stamp() string {
	var s string
	for _, name := range []string{o.CertFile, o.KeyFile, o.CAFile, o.CRLFile, o.StapleFile} {
		if info, err := os.Stat(name); err == nil {
			s += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return s
}

// load reads the files.
func (o *TLS) load(log *slog.Logger) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s, key %s: %w", o.CertFile, o.KeyFile, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   o.Lowest, MaxVersion: o.Highest, CipherSuites: o.Ciphers,
		SessionTicketsDisabled: o.NoTickets,
		// One record to a write: its latency is that of the write.
		DynamicRecordSizingDisabled: true,
	}
	if o.StapleFile != "" {
		s, err := readStaple(o.StapleFile, &config.Certificates[0])
		if err != nil {
			return nil, err
		}
		s.attach(config)
		if s.over(time.Now()) {
			log.Warn("the OCSP answer is out of date and not given to clients", "ocsp_staple_file", o.StapleFile, "next_update", s.next)
		}
	}
	if !o.VerifyPeer {
		return config, nil
	}
	return config, o.askClients(config, log)
}

// askClients has config verify the certificates of clients.
func (o *TLS) askClients(config *tls.Config, log *slog.Logger) error {
	b, err := os.ReadFile(o.CAFile)
	if err != nil {
		return err
	}
	var authorities []*x509.Certificate
	config.ClientCAs = x509.NewCertPool()
	for _, der := range blocks(b, "CERTIFICATE") {
		a, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", o.CAFile, err)
		}
		config.ClientCAs.AddCert(a)
		authorities = append(authorities, a)
	}
	if len(authorities) == 0 {
		return fmt.Errorf("there is no certificate in %s", o.CAFile)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if o.Require {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if o.CRLFile == "" {
		return nil
	}
	revoked, err := readRevocations(o.CRLFile, authorities, log)
	if err != nil {
		return err
	}
	config.VerifyConnection = revoked.verify
	return nil
}

// exists tells whether there is such a file.
func exists(name string) (bool, error) {
	_, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
