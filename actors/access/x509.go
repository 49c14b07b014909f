package access

import "context"

// certificate is the module of client certificates.
type certificate struct{ dn bool }

// Certificate makes a module that takes the subject of a client's certificate,
// which the listener has verified, for its user name: the common name, or with
// dn the whole subject. A client without one is left to others.
func Certificate(dn bool) Module { return certificate{dn} }

func (certificate) Name() string { return "x509" }

func (m certificate) Authenticate(_ context.Context, c *Credentials) (Result, error) {
	name := c.CertCN
	if m.dn {
		name = c.CertDN
	}
	if name == "" {
		return Result{}, nil
	}
	return Result{Verdict: Allow, Username: name, Why: "x509: subject of the certificate"}, nil
}
