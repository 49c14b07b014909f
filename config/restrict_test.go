package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsThatRestrictAListenerAreRead(t *testing.T) {
	cfg, p := Load(Sources{File: write(t, `listener.wss.a = 127.0.0.1:1
listener.wss.a.access.10 = deny all
listener.wss.a.access.2 = allow 10.1.2.3/8
listener.wss.a.access.1 = deny 10.0.0.1
listener.wss.a.rate_limit = 100, 10
listener.wss.a.proxy_protocol = on
listener.wss.a.proxy_protocol_trusted = 192.168.0.1, fe80::/10
listener.wss.a.max_conn_rate = 7
listener.wss.a.message_rate_limit = 100,50
listener.wss.a.mountpoint = dev/%c/
listener.wss.a.tls_versions = tlsv1.2,tlsv1.1
listener.wss.a.ciphers = ECDHE-ECDSA-AES128-GCM-SHA256,UNHEARD-OF,TLS_RSA_WITH_AES_128_CBC_SHA
listener.wss.a.verify = verify_peer
listener.wss.a.cacertfile = ca.pem
listener.wss.a.peer_cert_as_username = dn
`)})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	l := &cfg.Listeners[0]
	if got := fmt.Sprint(l.Access); got != "[deny 10.0.0.1/32 allow 10.0.0.0/8 deny all]" {
		t.Errorf("access %s", got)
	}
	if l.RateLimit.Burst() != 100<<10 || l.RateLimit.PerSecond() != 10<<10 || l.MaxConnRate != 7 {
		t.Errorf("rates %v, %d", l.RateLimit, l.MaxConnRate)
	}
	if !l.ProxyProtocol || l.ProxyTimeout != 3*time.Second || fmt.Sprint(l.ProxyTrusted) != "[192.168.0.1/32 fe80::/10]" {
		t.Errorf("proxy %v %v %v", l.ProxyProtocol, l.ProxyTimeout, l.ProxyTrusted)
	}
	if l.MessageRate != (MessageRate{100, 50}) || l.TotalMessageRate != (MessageRate{}) || l.Mountpoint != "dev/%c/" {
		t.Errorf("rates of messages %v, %v, mountpoint %q", l.MessageRate, l.TotalMessageRate, l.Mountpoint)
	}
	lowest, highest, err := l.TLSRange()
	if lowest != tls.VersionTLS11 || highest != tls.VersionTLS12 || err != nil {
		t.Errorf("versions %x to %x, %v", lowest, highest, err)
	}
	suites, err := l.CipherSuites()
	want := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	if !slices.Equal(suites, want) || err != nil {
		t.Errorf("suites %x, %v", suites, err)
	}
	if !l.VerifyPeer || l.FailIfNoPeerCert || l.PeerCertAsUsername != "dn" || !l.ReuseSessions || l.Path != "/mqtt" {
		t.Errorf("got %+v", l)
	}
	again, p := Load(Sources{File: write(t, cfg.Dump())})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := again.Dump(), cfg.Dump(); got != want {
		t.Errorf("first difference %s", firstDifference(got, want))
	}
}

func TestOptionsThatRestrictAListenerAreCheckedTogether(t *testing.T) {
	for line, want := range map[string]string{
		"access.1 = deny":               "expected allow or deny",
		"access.1 = forbid all":         "expected allow or deny",
		"access.1 = allow 10.0.0.0/33":  "expected an IP or a CIDR",
		"access.x = allow all":          "expected a number behind access",
		"rate_limit = 100":              "expected burst,rate",
		"rate_limit = 100,0":            "expected burst,rate",
		"proxy_protocol_trusted = me":   "expected an IP or a CIDR",
		"proxy_protocol_timeout = 1ms":  "must be 0, or at least 100ms",
		"max_conn_rate = -1":            "must be at least 0",
		"tls_versions = tlsv1.3,sslv3":  "expected some of tlsv1.3",
		"tls_versions = tlsv1.3,tlsv1":  "no gap",
		"ciphers = NONE":                "none of these cipher suites is known",
		"verify = verify_peer":          "cacertfile",
		"fail_if_no_peer_cert = true":   "verify_peer",
		"peer_cert_as_username = cn":    "verify_peer",
		"peer_cert_as_username = login": "expected one of none, cn, dn",
		"crlfile = crl.pem":             "verify_peer",
		"message_rate_limit = 5":        "expected burst,rate",
		"message_rate_limit = 0,5":      "expected burst,rate",
		"total_message_rate_limit = a":  "expected burst,rate",
		"mountpoint = a/+/":             "no + or #",
		"socket_mode = rw":              "in octal",
		"socket_mode = 1777":            "in octal",
		"max_clients_per_ip = -1":       "must be at least 0",
	} {
		got := complaints(t, Sources{File: write(t, "listener.ssl.a = 127.0.0.1:1\nlistener.ssl.a."+line+"\n")})
		if !strings.HasPrefix(got, "error: emq.conf:2: ") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
