package wsframe

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// pair is both ends of a WebSocket.
func pair(t *testing.T) (client, server *Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	up := make(chan *Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			s, _ := Upgrade(c, "mqtt")
			up <- s
		}
	}()
	client, err = Dial("ws://"+l.Addr().String()+"/mqtt", "mqtt", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server = <-up
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

func TestBothEndsReadWhatTheOtherWrites(t *testing.T) {
	client, server := pair(t)
	if client.Protocol != "mqtt" {
		t.Errorf("subprotocol %q", client.Protocol)
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		want := bytes.Repeat([]byte("x"), size)
		for _, ends := range [][2]*Conn{{client, server}, {server, client}} {
			from, to := ends[0], ends[1]
			sent := make(chan error, 1)
			go func() {
				if err := from.WriteFrame(Ping, []byte("between")); err != nil {
					sent <- err
					return
				}
				_, err := from.Write(want)
				sent <- err
			}()
			got := make([]byte, size)
			if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: %v", size, err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAFrameThatIsNotBinaryEndsTheStream(t *testing.T) {
	client, server := pair(t)
	if err := client.WriteFrame(Text, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 10)); err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestWhoIsNoWebSocketServerIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("HTTP/1.1 404 Not Found\r\n\r\n"))
			_ = c.Close()
		}
	}()
	if _, err := Dial("ws://"+l.Addr().String()+"/", "mqtt", time.Second); err == nil {
		t.Error("a server that does not upgrade is taken for one that does")
	}
}
