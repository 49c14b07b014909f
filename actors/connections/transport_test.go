package connections

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// loopback is a TCP connection; ours is the accepted end.
func loopback(t *testing.T) (client *net.TCPConn, ours Transport) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = NewTransport(accepted)
	t.Cleanup(func() { _, _ = dialed.Close(), ours.Close() })
	return dialed.(*net.TCPConn), ours
}

type readResult struct {
	data []byte
	err  error
}

func readOnce(t Transport, prefix []byte) <-chan readResult {
	c := make(chan readResult, 1)
	go func() {
		b, err := t.Read(prefix)
		if err != nil {
			c <- readResult{nil, err}
			return
		}
		c <- readResult{bytes.Clone(b.Data), nil}
		b.Free()
	}()
	return c
}

func TestReadBringsThePrefixAndWhatThePeerSent(t *testing.T) {
	client, ours := loopback(t)
	got := readOnce(ours, []byte("held "))
	if _, err := client.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.err != nil || string(r.data) != "held new" {
		t.Errorf("read %q, %v", r.data, r.err)
	}
	_ = client.Close()
	if r := <-readOnce(ours, nil); !errors.Is(r.err, io.EOF) || reasonOf(r.err) != "closed" {
		t.Errorf("read %q, %v after the peer had closed", r.data, r.err)
	}
}

func TestAReadThatWaitsAllocatesNothing(t *testing.T) {
	client, ours := loopback(t)
	sync := make(chan struct{})
	go func() {
		for range sync {
			_, _ = client.Write([]byte("x"))
		}
	}()
	defer close(sync)
	got := testing.AllocsPerRun(100, func() {
		sync <- struct{}{} // what is read may not have come yet
		b, err := ours.Read(nil)
		if err != nil || len(b.Data) != 1 {
			t.Fatalf("read %v, %v", b, err)
		}
		b.Free()
	})
	if got > 0 && !racing {
		t.Errorf("%v allocations a read", got)
	}
}

func TestClosingEndsAReadThatWaits(t *testing.T) {
	_, ours := loopback(t)
	got := readOnce(ours, nil)
	_ = ours.Close()
	if r := <-got; !errors.Is(r.err, net.ErrClosed) || reasonOf(r.err) != "closed" {
		t.Errorf("read %q, %v", r.data, r.err)
	}
}

func TestAReadDeadlineEndsAReadThatWaits(t *testing.T) {
	_, ours := loopback(t)
	if err := ours.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if r := <-readOnce(ours, nil); !errors.Is(r.err, os.ErrDeadlineExceeded) || reasonOf(r.err) != "timeout" {
		t.Errorf("read %q, %v", r.data, r.err)
	}
}

func TestTryWriteTakesWhatFitsAndDoesNotWait(t *testing.T) {
	client, ours := loopback(t)
	if _, ok := ours.(*plainTransport); ok {
		t.Skip("this system's sockets have no writes that do not wait")
	}
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	sent := 0
	for {
		n, err := ours.TryWrite(chunk)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
		if n == 0 {
			break
		}
	}
	// The rest waits for the peer; then it takes more at once again.
	done := make(chan error, 1)
	go func() {
		_, err := ours.Write(chunk)
		done <- err
		_ = ours.CloseWrite()
	}()
	n, err := io.Copy(io.Discard, client)
	if err != nil || n != int64(sent+len(chunk)) {
		t.Errorf("the peer got %d of %d bytes: %v", n, sent+len(chunk), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWritesToAPeerThatIsGoneFail(t *testing.T) {
	client, ours := loopback(t)
	_ = client.SetLinger(0)
	_ = client.Close()
	var err error
	for range 1000 {
		if _, err = ours.TryWrite([]byte("x")); err != nil {
			break
		}
		if r := <-readOnce(ours, nil); r.err != nil && err == nil {
			err = r.err
			break
		}
	}
	if r := reasonOf(err); err == nil || r != "econnreset" && r != "closed" && r != "socket_error" {
		t.Errorf("%v is called %s", err, r)
	}
}

func TestTheOutboxOverTCPKeepsOrderToASlowReader(t *testing.T) {
	client, ours := loopback(t)
	box := &outbox{t: ours, owner: &fakeOwner{}, timeout: time.Minute}
	go func() {
		for i := range 2000 {
			box.wait()
			box.Send(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 2048))
		}
	}()
	got := make([]byte, 2000*4096)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if p := got[i*4096:]; p[0] != byte(i) || p[4095] != byte(i>>8) {
			t.Fatalf("packet %d is not in its place", i)
		}
	}
}
