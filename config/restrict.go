package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// AccessRule lets clients of a network in, or keeps them out.
type AccessRule struct {
	Number int // the N of access.N; lower ones come first
	Allow  bool
	// Network is the zero Prefix where the rule is for all.
	Network netip.Prefix
}

// String is the rule as it is written.
func (r AccessRule) String() string {
	s := "deny "
	if r.Allow {
		s = "allow "
	}
	if !r.Network.IsValid() {
		return s + "all"
	}
	return s + r.Network.String()
}

// Rate is a limit with a burst, in bytes and bytes per second. The zero value
// is no limit.
type Rate [2]int

// Burst is how many bytes may come at once.
func (r Rate) Burst() int { return r[0] }

// PerSecond is how many bytes may come in the long run.
func (r Rate) PerSecond() int { return r[1] }

// String is the limit as it is written.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	return fmt.Sprintf("%d,%d", r[0]>>10, r[1]>>10)
}

// MessageRate is a limit with a burst, in messages and messages per second. The
// zero value is no limit.
type MessageRate [2]int

// Burst is how many messages may come at once.
func (r MessageRate) Burst() int { return r[0] }

// PerSecond is how many messages may come in the long run.
func (r MessageRate) PerSecond() int { return r[1] }

// String is the limit as it is written.
func (r MessageRate) String() string {
	if r == (MessageRate{}) {
		return ""
	}
	return fmt.Sprintf("%d,%d", r[0], r[1])
}

// maxMessageRate is more than any client can send.
const maxMessageRate = 1_000_000_000

func parseMessageRate(text string) (any, error) {
	words := parseList(text)
	if len(words) == 0 {
		return MessageRate{}, nil
	}
	var r MessageRate
	if len(words) != len(r) {
		return nil, errMessageRate
	}
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n <= 0 || n > maxMessageRate {
			return nil, errMessageRate
		}
		r[i] = n
	}
	return r, nil
}

var errMessageRate = errors.New("expected burst,rate: two numbers of messages")

func parseAccess(text string) (any, error) {
	words := strings.Fields(text)
	if len(words) != 2 || words[0] != "allow" && words[0] != "deny" {
		return nil, errors.New("expected allow or deny, and an IP, a CIDR or all")
	}
	r := AccessRule{Allow: words[0] == "allow"}
	if words[1] == "all" {
		return r, nil
	}
	n, err := parseNetwork(words[1])
	r.Network = n
	return r, err
}

func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, errors.New("expected an IP or a CIDR, such as 10.0.0.0/8")
	}
	return p.Masked(), nil
}

func parseNetworks(text string) (any, error) {
	var ns []netip.Prefix
	for _, w := range parseList(text) {
		n, err := parseNetwork(w)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, nil
}

func formatNetworks(ns []netip.Prefix) string {
	words := make([]string, len(ns))
	for i, n := range ns {
		words[i] = n.String()
	}
	return strings.Join(words, ",")
}

// maxRate keeps bytes within what an int of 32 bits holds.
const maxRate = 1<<21 - 1

func parseRate(text string) (any, error) {
	words := parseList(text)
	if len(words) == 0 {
		return Rate{}, nil
	}
	var r Rate
	ok := len(words) == len(r)
	for i := range r {
		if !ok {
			break
		}
		n, err := strconv.Atoi(words[i])
		ok = err == nil && n > 0 && n <= maxRate
		r[i] = n << 10
	}
	if !ok {
		return nil, fmt.Errorf("expected burst,rate: two numbers of KB from 1 to %d", maxRate)
	}
	return r, nil
}

// addAccess adds the rule access.N to those of a listener, at its place.
func (d *decoder) addAccess(l *Listener, k *Key, s setting) {
	n, err := strconv.Atoi(split(s.Key)[4])
	if err != nil || n < 0 {
		d.report(s, BadValue, "expected a number behind access, which says in which order the rules are tried")
		return
	}
	r := AccessRule{Number: n}
	d.set(reflect.ValueOf(&r).Elem(), k, s)
	r.Number = n
	l.Access = append(l.Access, r)
	slices.SortStableFunc(l.Access, func(a, b AccessRule) int { return cmp.Compare(a.Number, b.Number) })
}

// checkTLS finds what does not go together in the TLS options of a listener.
func (d *decoder) checkTLS(l *Listener) {
	if l.Type != ListenerSSL && l.Type != ListenerWSS {
		return
	}
	at := func(option string) setting {
		if s := d.at(l.Key() + option); s.Where != "" {
			return s
		}
		return d.at(l.Key())
	}
	if _, _, err := l.TLSRange(); err != nil {
		d.report(at(".tls_versions"), BadValue, err.Error())
	}
	if _, err := l.CipherSuites(); err != nil {
		d.report(at(".ciphers"), BadValue, err.Error())
	}
	switch {
	case l.CRLFile != "" && !l.VerifyPeer:
		d.report(at(".crlfile"), Conflict, "no client is asked for a certificate: set "+l.Key()+".verify = verify_peer")
	case l.OCSPStapling && l.OCSPStapleFile != "":
		d.report(at(".ocsp_staple_file"), Conflict, "the answer is either asked for or read: remove "+l.Key()+".ocsp_stapling or this")
	case l.VerifyPeer && l.CACertFile == "":
		d.report(at(".verify"), Conflict, "verify_peer needs the authorities that sign the certificates of clients: set "+l.Key()+".cacertfile")
	case l.FailIfNoPeerCert && !l.VerifyPeer:
		d.report(at(".fail_if_no_peer_cert"), Conflict, "no client is asked for a certificate: set "+l.Key()+".verify = verify_peer")
	case l.PeerCertAsUsername != "none" && !l.VerifyPeer:
		d.report(at(".peer_cert_as_username"), Conflict, "no client is asked for a certificate: set "+l.Key()+".verify = verify_peer")
	}
}
