package connections

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
	"unsafe"
)

// secured is both ends of a TLS connection that has been shaken hands on, and
// what the client sends at once.
func secured(t *testing.T, early []byte) (*tls.Conn, *tls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	client := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	server := tls.Server(b, &tls.Config{SessionTicketsDisabled: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	go func() { _, _ = client.Write(early) }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestHandshakeLeavesNoBuffersBehind(t *testing.T) {
	if len(handshakeBuffers) != 2 {
		t.Fatalf("this version of Go has other fields; found %d", len(handshakeBuffers))
	}
	_, server := secured(t, []byte("early"))
	held := func() (n int) {
		for _, at := range handshakeBuffers {
			n += (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(server), at)).Cap()
		}
		return n
	}
	if n := held(); n < 1000 {
		t.Errorf("there is nothing to gain: %d bytes", n)
	}
	shrink(server)
	if n := held(); n > 200 {
		t.Errorf("%d bytes are held", n)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "early" {
		t.Errorf("what came with the handshake: %q, %v", got, err)
	}
}
