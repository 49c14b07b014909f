package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tlsVersion is a version of TLS as EMQ names it.
type tlsVersion struct {
	name    string
	version uint16
}

// tlsVersions in their order.
var tlsVersions = []tlsVersion{
	{"tlsv1", tls.VersionTLS10}, {"tlsv1.1", tls.VersionTLS11}, {"tlsv1.2", tls.VersionTLS12}, {"tlsv1.3", tls.VersionTLS13},
}

// TLSRange is the lowest and the highest version of TLS that a listener speaks.
func (l *Listener) TLSRange() (lowest, highest uint16, err error) {
	if len(l.TLSVersions) == 0 {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	gap := false
	for _, v := range tlsVersions {
		if !slices.Contains(l.TLSVersions, v.name) {
			gap = lowest != 0
			continue
		}
		if gap {
			return 0, 0, errors.New("there may be no gap between the versions")
		}
		if lowest == 0 {
			lowest = v.version
		}
		highest = v.version
	}
	for _, name := range l.TLSVersions {
		if !slices.ContainsFunc(tlsVersions, func(v tlsVersion) bool { return v.name == name }) {
			return 0, 0, fmt.Errorf("expected some of tlsv1.3, tlsv1.2, tlsv1.1, tlsv1; got %q", name)
		}
	}
	return lowest, highest, nil
}

// openSSL are the names that OpenSSL gives to the cipher suites Go has.
var openSSL = map[string]string{
	"ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	"ECDHE-RSA-AES128-GCM-SHA256":   "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384":   "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	"ECDHE-RSA-CHACHA20-POLY1305":   "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	"ECDHE-ECDSA-AES128-SHA256":     "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
	"ECDHE-RSA-AES128-SHA256":       "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
	"ECDHE-ECDSA-AES128-SHA":        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
	"ECDHE-RSA-AES128-SHA":          "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
	"ECDHE-ECDSA-AES256-SHA":        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
	"ECDHE-RSA-AES256-SHA":          "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
	"AES128-GCM-SHA256":             "TLS_RSA_WITH_AES_128_GCM_SHA256",
	"AES256-GCM-SHA384":             "TLS_RSA_WITH_AES_256_GCM_SHA384",
	"AES128-SHA256":                 "TLS_RSA_WITH_AES_128_CBC_SHA256",
	"AES128-SHA":                    "TLS_RSA_WITH_AES_128_CBC_SHA",
	"AES256-SHA":                    "TLS_RSA_WITH_AES_256_CBC_SHA",
	"DES-CBC3-SHA":                  "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
	"ECDHE-RSA-DES-CBC3-SHA":        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
}

// CipherSuites are the identifiers of Ciphers; nil without any. Names of suites
// that Go does not have are passed over, as OpenSSL does it, as long as one
// remains.
func (l *Listener) CipherSuites() ([]uint16, error) {
	if len(l.Ciphers) == 0 {
		return nil, nil
	}
	var ids []uint16
	for _, name := range l.Ciphers {
		name = strings.ToUpper(name)
		if iana, ok := openSSL[name]; ok {
			name = iana
		}
		for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			if s.Name == name {
				ids = append(ids, s.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("none of these cipher suites is known")
	}
	return ids, nil
}
