package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// A server that lies about the length of its answer must not make us keep it ready:
// the library's own limit is 2 GB. An entry with ten thousand topics is about 1 MB.
func init() { ber.MaxPacketLengthBytes = 16 << 20 }

// dialer connects to the servers, the one first that answered last.
type dialer struct {
	addrs    []string
	tls      *tls.Config // ldaps, or StartTLS; nil: none
	startTLS bool
	timeout  time.Duration
	last     atomic.Int32
}

// dial makes a connection that nobody has bound.
func (d *dialer) dial(ctx context.Context) (*ldap.Conn, error) {
	if len(d.addrs) == 0 {
		return nil, errors.New("no servers")
	}
	first := int(d.last.Load())
	var errs []error
	for i := range d.addrs {
		n := (first + i) % len(d.addrs)
		c, err := d.one(ctx, d.addrs[n])
		if err == nil {
			d.last.Store(int32(n))
			return c, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (d *dialer) one(ctx context.Context, addr string) (*ldap.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	config := d.tls
	if config != nil && config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	if config != nil && !d.startTLS {
		secured := tls.Client(raw, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		raw = secured
	}
	c := ldap.NewConn(raw, config != nil && !d.startTLS)
	c.SetTimeout(d.timeout)
	c.Start()
	if config != nil && d.startTLS {
		if err := during(ctx, c, func() error { return c.StartTLS(config) }); err != nil {
			end(c)
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c, nil
}

// during lets ctx end what the library does without looking at it: by closing the
// connection.
func during(ctx context.Context, c *ldap.Conn, do func() error) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = c.Close()
	})
	err := do()
	if !stop() {
		<-closed
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// usable tells whether a connection is still in order after err: an answer of the
// server's, even one that says no, does not break it.
func usable(c *ldap.Conn, err error) bool {
	if c.IsClosing() {
		return false
	}
	var answer *ldap.Error
	return err == nil || errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork
}

func end(c *ldap.Conn) { _ = c.Close() }
