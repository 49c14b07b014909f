package connections

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// signal notes that Ready was called.
type signal chan struct{}

func (s signal) Ready() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// linked is a link and the socket of its client.
func linked(t testing.TB, p *poller) (*socketLink, net.Conn, signal) {
	t.Helper()
	server, client := socketPair(t)
	l, err := p.take(NewTransport(server).(*rawTransport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := make(signal, 1)
	l.Watch(s)
	return l, client, s
}

func testPoller(t testing.TB) *poller {
	t.Helper()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// readAll reads as a reader does: until there is nothing, then after a signal.
func readAll(l *socketLink, s signal, size int) (got []byte, err error) {
	b := make([]byte, size)
	limit := time.After(patience)
	for {
		n, err := l.TryRead(b)
		got = append(got, b[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, err
		case n > 0:
			continue
		}
		select {
		case <-s:
		case <-limit:
			return got, os.ErrDeadlineExceeded
		}
	}
}

func TestALinkIsToldOfEveryByteAndOfTheEnd(t *testing.T) {
	p := testPoller(t)
	want := noise(300 << 10)
	for _, c := range []struct {
		name       string
		read, send int // bytes at a time
		size       int
	}{
		{"in bulk", 32 << 10, 1 << 20, 300 << 10}, {"byte by byte", 100, 1, 500}, {"with a small buffer", 7, 100, 5000},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, client, s := linked(t, p)
			go func() {
				for b := want[:c.size]; len(b) > 0; {
					n := min(c.send, len(b))
					if _, err := client.Write(b[:n]); err != nil {
						return
					}
					b = b[n:]
				}
				_ = client.(*net.TCPConn).CloseWrite()
			}()
			got, err := readAll(l, s, c.read)
			if err != nil || !bytes.Equal(got, want[:c.size]) {
				t.Fatalf("%d bytes of %d, %v", len(got), c.size, err)
			}
			if n, err := l.TryWrite([]byte("still open")); n != 10 || err != nil { // this way
				t.Error(n, err)
			}
			mustRead(t, client, []byte("still open"))
		})
	}
}

func TestALinkWritesAsFastAsASlowClientReads(t *testing.T) {
	l, client, _ := linked(t, testPoller(t))
	want := noise(4 << 20)
	wrote := make(chan error, 1)
	go func() {
		n, err := l.TryWrite(want)
		if err == nil {
			_, err = l.Write(want[n:])
		}
		wrote <- err
	}()
	mustRead(t, client, want)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestAWriteOfALinkEndsByItsDeadlineOrByClose(t *testing.T) {
	p := testPoller(t)
	for name, end := range map[string]struct {
		do   func(*socketLink)
		want error
	}{
		"deadline": {func(l *socketLink) { _ = l.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"close":    {func(l *socketLink) { _ = l.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			l, client, _ := linked(t, p)
			wrote := make(chan error, 1)
			go func() {
				_, err := l.Write(noise(8 << 20)) // nobody reads it
				wrote <- err
			}()
			mustRead(t, client, noise(8 << 20)[:1]) // it is under way
			end.do(l)
			select {
			case err := <-wrote:
				if !errors.Is(err, end.want) {
					t.Errorf("got %v", err)
				}
			case <-time.After(patience):
				t.Fatal("it still waits")
			}
		})
	}
}

func TestALinkLearnsThatItsClientHasReset(t *testing.T) {
	l, client, s := linked(t, testPoller(t))
	_ = client.(*net.TCPConn).SetLinger(0)
	_ = client.Close()
	if _, err := readAll(l, s, 100); !errors.Is(err, syscall.ECONNRESET) || reasonOf(err) != "econnreset" {
		t.Errorf("got %v", err)
	}
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Links are read, written and closed at the same time, while their descriptors are
// used again at once. What a client gets must be its own.
func TestLinksThatCloseAtAnyMomentLeaveNothingBehindAndHarmNoOther(t *testing.T) {
	p := testPoller(t)
	before := descriptors(t)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 100 {
				one(t, p, byte(worker*64+i%64))
			}
		})
	}
	all.Wait()
	p.mu.Lock()
	for fd, l := range p.links {
		if l != nil {
			t.Errorf("descriptor %d is still watched", fd)
		}
	}
	p.mu.Unlock()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// one is the life of a connection on which everything is mark.
func one(t *testing.T, p *poller, mark byte) {
	l0, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer l0.Close()
	client, err := net.Dial("tcp", l0.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	server, err := l0.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	l, err := p.take(NewTransport(server).(*rawTransport))
	if err != nil {
		t.Error(err)
		return
	}
	s := make(signal, 1)
	l.Watch(s)
	var both sync.WaitGroup
	own := bytes.Repeat([]byte{mark}, 1000)
	check := func(who string, got []byte) {
		if bytes.Count(got, []byte{mark}) != len(got) {
			t.Errorf("%s got what is not its own", who)
		}
	}
	both.Go(func() { // the reader
		b := make([]byte, 512)
		for {
			n, err := l.TryRead(b)
			check("the server", b[:n])
			if err != nil {
				return
			}
			if n == 0 {
				select {
				case <-s:
				case <-time.After(time.Millisecond):
				}
			}
		}
	})
	both.Go(func() { // a writer
		for {
			if _, err := l.TryWrite(own); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		b := make([]byte, 4096)
		for range 1 + rand.IntN(5) {
			_, _ = client.Write(own)
			n, _ := client.Read(b)
			check("the client", b[:n])
		}
		if rand.IntN(2) == 0 {
			_ = client.Close()
		}
		_ = l.Close()
	})
	both.Wait()
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}
