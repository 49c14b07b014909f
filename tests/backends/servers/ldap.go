package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// LDAP is OpenLDAP with the attributes and the object class mqttUser of EMQ; below
// Database there is ou=users and nobody in it. StartTLS works on Addr, TLSAddr is
// for ldaps. Everybody may read everything but userPassword.
func LDAP(t testing.TB) *Server {
	t.Helper()
	return shared(t, kind{
		name: "ldap", program: "slapd", stop: syscall.SIGTERM,
		prepare: func(s *Server) (err error) {
			if s.TLSAddr, err = freeAddr(); err != nil {
				return err
			}
			s.Username, s.Database = "cn=admin,dc=emq,dc=io", "dc=emq,dc=io"
			if err := os.WriteFile(s.path("emq.schema"), []byte(ldapSchema), 0o644); err != nil {
				return err
			}
			if err := os.WriteFile(s.path("slapd.conf"), fmt.Appendf(nil, slapdConf, s.dir), 0o644); err != nil {
				return err
			}
			return os.Mkdir(s.path("db"), 0o755)
		},
		args: func(s *Server) []string {
			return []string{"-f", s.path("slapd.conf"), "-d", "0", "-h", "ldap://" + s.Addr + "/ ldaps://" + s.TLSAddr + "/"}
		},
		ready: func(_ context.Context, s *Server) error {
			c, err := s.dialLDAP()
			if err != nil {
				return err
			}
			return c.Close()
		},
		after: func(_ context.Context, s *Server) error {
			c, err := s.dialLDAP()
			if err != nil {
				return err
			}
			defer c.Close()
			base := ldap.NewAddRequest(s.Database, nil)
			base.Attribute("objectClass", []string{"dcObject", "organization"})
			base.Attribute("dc", []string{"emq"})
			base.Attribute("o", []string{"EMQ"})
			if err := c.Add(base); err != nil {
				return err
			}
			users := ldap.NewAddRequest("ou=users,"+s.Database, nil)
			users.Attribute("objectClass", []string{"organizationalUnit"})
			users.Attribute("ou", []string{"users"})
			return c.Add(users)
		},
	})
}

// dialLDAP connects as the one who may do everything.
func (s *Server) dialLDAP() (*ldap.Conn, error) {
	c, err := ldap.DialURL("ldap://"+s.Addr, ldap.DialWithDialer(&net.Dialer{Timeout: patience}))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(patience)
	if err := c.Bind(s.Username, s.Password); err != nil {
		return nil, errors.Join(fmt.Errorf("bind: %w", err), c.Close())
	}
	return c, nil
}

// The object identifiers are of an arc that nobody has; they are for tests only.
const ldapSchema = `
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'isSuperuser' EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'mqttPublishTopic' EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'mqttSubscriptionTopic' EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.4 NAME 'mqttPubSubTopic' EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.5 NAME 'username' EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.6 NAME 'password' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.7 NAME 'salt' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'mqttUser' SUP top AUXILIARY MAY ( username $ password $ salt $ isSuperuser $ mqttPublishTopic $ mqttSubscriptionTopic $ mqttPubSubTopic ) )
`

const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include %[1]s/emq.schema
pidfile %[1]s/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
maxsize 104857600
suffix "dc=emq,dc=io"
rootdn "cn=admin,dc=emq,dc=io"
rootpw secret
directory %[1]s/db
dbnosync
index objectClass eq
index uid eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
`
