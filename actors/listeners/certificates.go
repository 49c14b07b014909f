package listeners

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/connections"
)

// certificates are those of a listener, with all that is read from files for
// handshakes. Handshakes take the newest; connections keep theirs.
type certificates struct {
	options *TLS
	log     *slog.Logger
	config  atomic.Pointer[tls.Config] // nil before start
	looked  atomic.Int64               // when, in Unix nanoseconds
	changed chan struct{}              // wakes keepStapled; has room for one
	fetch   fetcher                    // of keepStapled

	mu     sync.Mutex // held to change config
	stamp  string     // of the files that were read last
	staple staple     // that was fetched last
}

func newCertificates(o *TLS, log *slog.Logger) *certificates {
	return &certificates{options: o, log: log, changed: make(chan struct{}, 1), fetch: askResponder}
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
	c.looked.Store(time.Now().UnixNano())
	return c.read()
}

// current is the configuration for a handshake.
func (c *certificates) current(now time.Time) *tls.Config {
	looked := c.looked.Load()
	if now.UnixNano()-looked < int64(lookAgain) || !c.looked.CompareAndSwap(looked, now.UnixNano()) {
		return c.config.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.options.stamp() != c.stamp {
		_ = c.reread() // has been logged
	}
	return c.config.Load()
}

// reload reads the files although they may look as they did. What is no good
// leaves everything as it is.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reread()
}

func (c *certificates) reread() error {
	err := c.read()
	if err != nil {
		c.log.Error("the new certificate is no good, the old one stays in use", "certfile", c.options.CertFile, "error", err)
		return err
	}
	c.log.Info("certificate reloaded", "certfile", c.options.CertFile)
	return nil
}

// read reads all files. The caller holds mu.
func (c *certificates) read() error {
	c.stamp = c.options.stamp()
	config, err := c.options.load(c.log)
	if err != nil {
		return err
	}
	if c.options.FetchStaple {
		c.staple.attach(config)
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
	c.config.Store(config)
	return nil
}

// handshake does that of a new connection. The names are those of the client's
// certificate, if it has one.
func (c *certificates) handshake(conn net.Conn) (o connections.Opened, err error) {
	timeout := c.options.Timeout
	if timeout <= 0 {
		timeout = handshakeTimeout
	}
	t, state, err := connections.NewTLS(conn, c.current(time.Now()), timeout)
	if err != nil {
		reason := reasonOf(err, "tls")
		if errors.Is(err, errRevoked) {
			reason = "tls_revoked"
		}
		return o, &connections.OpenError{Reason: reason, Err: err}
	}
	o.Transport = t
	if len(state.PeerCertificates) == 0 {
		return o, nil
	}
	subject := state.PeerCertificates[0].Subject
	o.CertCN, o.CertDN = subject.CommonName, subject.String()
	switch c.options.UserName {
	case "cn":
		o.UserName = o.CertCN
	case "dn":
		o.UserName = o.CertDN
	}
	return o, nil
}
