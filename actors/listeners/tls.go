package listeners

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/connections"
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

// certificates are those of a listener. Handshakes take the newest; connections
// keep theirs.
type certificates struct {
	options *TLS
	log     *slog.Logger
	config  atomic.Pointer[tls.Config] // nil before start
	looked  atomic.Int64               // when, in Unix nanoseconds
	mu      sync.Mutex
	stamp   string // of the files that were read last
}

// start reads the files, which must be good the first time.
func (c *certificates) start() error {
	if c.config.Load() != nil {
		return nil
	}
	if c.options.Make {
		made, err := makeCertificate(c.options.CertFile, c.options.KeyFile)
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		if made {
			c.log.Warn("made a certificate of our own, which no client trusts unless it is told to",
				"certfile", c.options.CertFile, "keyfile", c.options.KeyFile)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp = c.options.stamp()
	config, err := c.options.load()
	if err != nil {
		return err
	}
	c.config.Store(config)
	c.looked.Store(time.Now().UnixNano())
	return nil
}

// current is the configuration for a handshake.
func (c *certificates) current(now time.Time) *tls.Config {
	looked := c.looked.Load()
	if now.UnixNano()-looked < int64(lookAgain) || !c.looked.CompareAndSwap(looked, now.UnixNano()) {
		return c.config.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.options.stamp()
	if stamp == c.stamp {
		return c.config.Load()
	}
	config, err := c.options.load()
	if err != nil {
		c.log.Error("the new certificate is no good, the old one stays in use", "certfile", c.options.CertFile, "error", err)
		c.stamp = stamp
		return c.config.Load()
	}
	c.log.Info("certificate reloaded", "certfile", c.options.CertFile)
	c.stamp = stamp
	c.config.Store(config)
	return config
}

// handshake does that of a new connection and returns the user name that its
// certificate gives it, if any.
func (c *certificates) handshake(conn net.Conn) (connections.Transport, string, error) {
	timeout := c.options.Timeout
	if timeout <= 0 {
		timeout = handshakeTimeout
	}
	t, state, err := connections.NewTLS(conn, c.current(time.Now()), timeout)
	if err != nil {
		return nil, "", &connections.OpenError{Reason: reasonOf(err, "tls"), Err: err}
	}
	if len(state.PeerCertificates) == 0 {
		return t, "", nil
	}
	subject := state.PeerCertificates[0].Subject
	switch c.options.UserName {
	case "cn":
		return t, subject.CommonName, nil
	case "dn":
		return t, subject.String(), nil
	default:
		return t, "", nil
	}
}

// stamp changes when one of the files does.
func (o *TLS) stamp() string {
	var s string
	for _, name := range []string{o.CertFile, o.KeyFile, o.CAFile} {
		if info, err := os.Stat(name); err == nil {
			s += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return s
}

// load reads the files.
func (o *TLS) load() (*tls.Config, error) {
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
	if !o.VerifyPeer {
		return config, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in %s", o.CAFile)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if o.Require {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// exists tells whether there is such a file.
func exists(name string) (bool, error) {
	_, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
