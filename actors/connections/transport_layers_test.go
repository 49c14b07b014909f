package connections

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"emqttd/protocol/websocket"
)

// patience is how long these tests wait for what must come.
const patience = 20 * time.Second

// serverConfig is TLS with a certificate made for the test.
func serverConfig(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
}

// socketPair are both ends of a TCP connection with small buffers.
func socketPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = server.Close(), client.Close() })
	_ = server.(*net.TCPConn).SetWriteBuffer(64 << 10)
	_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
	_ = client.SetDeadline(time.Now().Add(patience))
	return server, client
}

// layer makes a transport and the client's end of it, on which bytes are what
// MQTT would see.
type layer struct {
	name string
	open func(t testing.TB) (Transport, io.ReadWriter, net.Conn)
}

func layers() []layer {
	plain := func(t testing.TB) (Transport, io.ReadWriter, net.Conn) {
		server, client := socketPair(t)
		return NewTransport(server), client, client
	}
	return []layer{
		{"tcp", plain},
		{"tls", openTLS},
		{"ws", func(t testing.TB) (Transport, io.ReadWriter, net.Conn) {
			below, client, _ := plain(t)
			c := &wsClient{rw: client}
			return NewWebSocket(below, nil, 0), c, client.(net.Conn)
		}},
		{"wss", func(t testing.TB) (Transport, io.ReadWriter, net.Conn) {
			below, client, conn := openTLS(t)
			return NewWebSocket(below, nil, 0), &wsClient{rw: client}, conn
		}},
	}
}

func openTLS(t testing.TB) (Transport, io.ReadWriter, net.Conn) {
	t.Helper()
	server, client := socketPair(t)
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	tr, _, err := NewTLS(server, serverConfig(t), patience)
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return tr, c, client
}

// wsClient is the client's end of a WebSocket: each Write is a frame.
type wsClient struct {
	rw       io.ReadWriter
	left     uint64
	controls []websocket.Control
}

func (c *wsClient) Write(p []byte) (int, error) {
	if _, err := c.rw.Write(maskedFrame(0x80|byte(websocket.Binary), p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func maskedFrame(first byte, p []byte) []byte {
	b := []byte{first, 0x80 | 127}
	switch n := len(p); {
	case n < 126:
		b[1] = 0x80 | byte(n)
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, 1, 2, 3, 4)
	for i := range p {
		b = append(b, p[i]^byte(i&3+1))
	}
	return b
}

// Read returns payload of binary frames and collects control frames.
func (c *wsClient) Read(p []byte) (int, error) {
	for c.left == 0 {
		var h [8]byte
		if _, err := io.ReadFull(c.rw, h[:2]); err != nil {
			return 0, err
		}
		first, n := h[0], uint64(h[1])
		if n == 126 {
			if _, err := io.ReadFull(c.rw, h[:2]); err != nil {
				return 0, err
			}
			n = uint64(binary.BigEndian.Uint16(h[:]))
		}
		if op := websocket.Opcode(first & 0xf); op != websocket.Binary {
			payload := make([]byte, n)
			if _, err := io.ReadFull(c.rw, payload); err != nil {
				return 0, err
			}
			c.controls = append(c.controls, websocket.Control{Opcode: op, Payload: payload})
			if op == websocket.Close {
				return 0, io.EOF
			}
			continue
		}
		c.left = n
	}
	if uint64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.rw.Read(p)
	c.left -= uint64(n)
	return n, err
}

// noise is bytes that show where they belong.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{}).Read(b) // it never fails
	return b
}

func TestWhatIsWrittenArrivesWholeAtASlowReader(t *testing.T) {
	for _, l := range layers() {
		t.Run(l.name, func(t *testing.T) {
			tr, client, _ := l.open(t)
			want := noise(24 << 20) // more than the buffers of both sockets hold
			wrote, stuck := make(chan error, 1), make(chan struct{})
			full := sync.OnceFunc(func() { close(stuck) })
			go func() {
				r := mathrand.New(mathrand.NewPCG(1, 2))
				for p := want; len(p) > 0; {
					n, err := tr.TryWrite(p[:min(len(p), 1+r.IntN(100<<10))])
					if p = p[n:]; err == nil && n == 0 {
						full()
						n, err = tr.Write(p[:min(len(p), 1+r.IntN(100<<10))])
						p = p[n:]
					}
					if err != nil {
						wrote <- err
						return
					}
				}
				wrote <- nil
			}()
			select {
			case <-stuck:
			case err := <-wrote:
				t.Fatalf("the socket took everything at once: %v", err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(client, got); err != nil {
				t.Fatal(err)
			}
			if err := <-wrote; err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v; the same: %v", err, bytes.Equal(got, want))
			}
		})
	}
}

func TestWhatTheClientSendsComesBehindThePrefix(t *testing.T) {
	for _, l := range layers() {
		t.Run(l.name, func(t *testing.T) {
			tr, client, _ := l.open(t)
			want := noise(1 << 20)
			go func() {
				for p := want; len(p) > 0; {
					n := min(len(p), 70_001)
					if _, err := client.Write(p[:n]); err != nil {
						return
					}
					p = p[n:]
				}
			}()
			var got []byte
			for len(got) < len(want) {
				keep := got[max(0, len(got)-100):]
				b, err := tr.Read(keep)
				if err != nil {
					t.Fatal(err)
				}
				if len(b.Data) == len(keep) || !bytes.HasPrefix(b.Data, keep) {
					t.Fatalf("%d bytes behind a prefix of %d", len(b.Data), len(keep))
				}
				got = append(got, b.Data[len(keep):]...)
				b.Free()
			}
			if !bytes.Equal(got, want) {
				t.Error("something else arrived")
			}
		})
	}
}

func TestCloseEndsAWaitingReadAndAWaitingWrite(t *testing.T) {
	for _, l := range layers() {
		t.Run(l.name, func(t *testing.T) {
			tr, _, _ := l.open(t)
			ended := make(chan error, 2)
			go func() {
				_, err := tr.Read(nil)
				ended <- err
			}()
			writes := make(chan struct{})
			go func() {
				close(writes)
				_, err := tr.Write(noise(8 << 20)) // nobody reads
				ended <- err
			}()
			<-writes
			_ = tr.Close()
			for range 2 {
				select {
				case err := <-ended:
					if err == nil {
						t.Error("no error")
					}
				case <-time.After(patience):
					t.Fatal("still waiting")
				}
			}
		})
	}
}

func TestDeadlineEndsARead(t *testing.T) {
	for _, l := range layers() {
		t.Run(l.name, func(t *testing.T) {
			tr, client, _ := l.open(t)
			_ = tr.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := tr.Read(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			_ = tr.SetReadDeadline(time.Time{})
			if _, err := client.Write([]byte("on")); err != nil {
				t.Fatal(err)
			}
			b, err := tr.Read(nil)
			if err != nil || string(b.Data) != "on" {
				t.Errorf("reading does not go on: %v", err)
			}
		})
	}
}

func TestEndOfTheClientIsEndOfFile(t *testing.T) {
	for _, l := range layers() {
		t.Run(l.name, func(t *testing.T) {
			tr, _, conn := l.open(t)
			_ = conn.Close()
			if _, err := tr.Read(nil); reasonOf(err) != "closed" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}
