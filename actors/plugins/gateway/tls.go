package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"emqttd/actors/plugins"
)

// TLS reads the settings of a server: prefix.certfile and prefix.keyfile, and
// prefix.cacertfile, with which clients must have a certificate that it has signed.
// Without the first two it is nil, which is plain text. What is wrong r says. The files
// are read once: a new certificate counts when the plugin is reloaded.
func TLS(e *plugins.Env, r *plugins.Reader, prefix string) *tls.Config {
	cert, key, ca := r.String(prefix+".certfile", ""), r.String(prefix+".keyfile", ""), r.String(prefix+".cacertfile", "")
	if cert == "" && key == "" {
		if ca != "" {
			r.Wrong(prefix+".cacertfile", "it needs certfile and keyfile")
		}
		return nil
	}
	pair, err := tls.LoadX509KeyPair(e.Path(cert), e.Path(key))
	if err != nil {
		r.Wrong(prefix+".certfile", err.Error())
		return nil
	}
	o := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if ca == "" {
		return o
	}
	o.ClientAuth, o.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	text, err := os.ReadFile(e.Path(ca))
	switch {
	case err != nil:
		r.Wrong(prefix+".cacertfile", err.Error())
	case !o.ClientCAs.AppendCertsFromPEM(text):
		r.Wrong(prefix+".cacertfile", "there is no certificate in it")
	}
	return o
}
