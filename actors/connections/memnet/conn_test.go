package memnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func dial(t *testing.T) (client *Conn, server net.Conn) {
	t.Helper()
	n := New()
	t.Cleanup(func() { _ = n.Close() })
	client, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if server, err = n.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestMemoryConnectionCarriesMoreThanItsBufferHolds(t *testing.T) {
	client, server := dial(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), Limit/4)
	go func() {
		_, _ = client.Write(sent)
		_ = client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
	}
}

func TestMemoryConnectionHonoursDeadlinesInBothDirections(t *testing.T) {
	client, server := dial(t)
	_ = server.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	_ = client.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n, err := client.Write(make([]byte, Limit+1)); n > Limit || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %d, %v", n, err)
	}
	_ = client.SetWriteDeadline(time.Time{})
	_ = server.SetReadDeadline(time.Time{})
	if n, err := server.Read(make([]byte, 8)); n != 8 || err != nil {
		t.Errorf("after the deadline was taken away: %d, %v", n, err)
	}
}

func TestClosingOneEndOfAMemoryConnectionEndsTheOther(t *testing.T) {
	client, server := dial(t)
	done := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		done <- err
	}()
	_ = client.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
}

func TestHalfClosedMemoryConnectionStillReads(t *testing.T) {
	client, server := dial(t)
	_ = client.CloseWrite()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 4)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestClosedNetworkRefusesToDialAndToAccept(t *testing.T) {
	n := New()
	waiting, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	_ = n.Close()
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that nobody accepted: %v", err)
	}
	if _, err := n.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}
