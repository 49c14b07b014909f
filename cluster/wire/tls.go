package wire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"emqttd/config"
)

// LoadTLS reads the files of cluster.tls: both are nil where there are none. between
// is for streams to other nodes, which show a certificate for the host that they are
// dialled at. own is for the door of this node and for its command line: both show
// this node's certificate, wherever they are.
func LoadTLS(c *config.Config) (between, own *tls.Config, err error) {
	t := c.Cluster.TLS
	if !t.On() {
		return nil, nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.Path(t.CertFile), c.Path(t.KeyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("cluster.tls.certfile: %w", err)
	}
	pem, err := os.ReadFile(c.Path(t.CACertFile))
	if err != nil {
		return nil, nil, fmt.Errorf("cluster.tls.cacertfile: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("cluster.tls.cacertfile %s has no certificate", t.CACertFile)
	}
	between = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	host, _, err := net.SplitHostPort(c.Node.DistAdvertise)
	if err != nil {
		return nil, nil, fmt.Errorf("node.dist_advertise: %w", err)
	}
	own = between.Clone()
	own.ServerName = host
	return between, own, nil
}
