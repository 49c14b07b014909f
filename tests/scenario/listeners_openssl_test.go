package scenario

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/config"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

// sClient runs openssl s_client, which sends a CONNECT, until the answer has
// come or it gives up, and returns what it printed.
func sClient(t *testing.T, addr string, args ...string) (output string, connack bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", addr, "-servername", "localhost", "-nocommands"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = in.Write(testkit.Hello("openssl").Append(nil, mqtt.V311)) // it may have given up
	var printed strings.Builder
	r := bufio.NewReader(out)
	for want := "\x20\x02\x00\x00"; !connack; {
		b, err := r.ReadByte()
		if err != nil {
			break
		}
		printed.WriteByte(b)
		connack = strings.HasSuffix(printed.String(), want)
	}
	_ = in.Close()
	for err = nil; err == nil; {
		_, err = r.ReadByte()
	}
	_ = cmd.Wait() // its exit code says little
	return printed.String() + log.String(), connack
}

func TestOpenSSLNegotiatesWhatTheListenerOffers(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca.server(at("cert"), at("key"), 3)
	ca.write(at("ca"), "CERTIFICATE", ca.cert.Raw)
	files := func(l *config.Listener) { l.CertFile, l.KeyFile = at("cert"), at("key") }
	_, any := listening(t, config.ListenerSSL, func(l *config.Listener) { files(l); l.ReuseSessions = true })
	_, old := listening(t, config.ListenerSSL, func(l *config.Listener) {
		files(l)
		l.TLSVersions, l.Ciphers = []string{"tlsv1.2"}, []string{"ECDHE-ECDSA-AES256-GCM-SHA384"}
	})
	verified := []string{"-CAfile", at("ca"), "-verify_return_error"}
	for _, c := range []struct {
		name, addr, want string
		args             []string
		in               bool
	}{
		{"TLS 1.3", any, `TLSv1\.3`, append(verified, "-tls1_3"), true},
		{"TLS 1.2", any, `TLSv1\.2`, append(verified, "-tls1_2"), true},
		{"TLS 1.1", any, `alert protocol version|no protocols available`, []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, false},
		{"a suite", any, `ECDHE-ECDSA-CHACHA20-POLY1305`, append(verified, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), true},
		{"only TLS 1.2", old, `alert protocol version`, []string{"-tls1_3"}, false},
		{"the one suite", old, `ECDHE-ECDSA-AES256-GCM-SHA384`, verified, true},
		{"another suite", old, `alert handshake failure`, []string{"-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, false},
	} {
		out, in := sClient(t, c.addr, c.args...)
		if in != c.in || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: CONNACK %v\n%s", c.name, in, out)
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := at("session" + version)
		if out, in := sClient(t, any, version, "-sess_out", session); !in || !strings.Contains(out, "New, ") {
			t.Errorf("%s: a first handshake\n%s", version, out)
		}
		if out, in := sClient(t, any, version, "-sess_in", session); !in || !strings.Contains(out, "Reused, ") {
			t.Errorf("%s: a second handshake\n%s", version, out)
		}
	}
}

func TestOpenSSLShowsItsCertificate(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca.server(at("cert"), at("key"), 3)
	ca.server(at("client"), at("client-key"), 4)
	ca.write(at("ca"), "CERTIFICATE", ca.cert.Raw)
	_, addr := listening(t, config.ListenerSSL, func(l *config.Listener) {
		l.CertFile, l.KeyFile, l.CACertFile = at("cert"), at("key"), at("ca")
		l.VerifyPeer, l.FailIfNoPeerCert = true, true
	})
	if out, in := sClient(t, addr, "-tls1_2"); in || !strings.Contains(out, "handshake failure") && !strings.Contains(out, "alert") {
		t.Errorf("without a certificate: CONNACK %v\n%s", in, out)
	}
	if out, in := sClient(t, addr, "-cert", at("client"), "-key", at("client-key")); !in || !strings.Contains(out, "Acceptable client certificate CA names") {
		t.Errorf("with one: CONNACK %v\n%s", in, out)
	}
}
