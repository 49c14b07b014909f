package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// echoing accepts streams and sends back what comes, until "end".
func echoing(t *testing.T, tlsConfig *tls.Config) (d *door, ended chan error) {
	ended = make(chan error, 16)
	d = openDoor(t, func(o *Options) {
		o.TLS = tlsConfig
		o.Accept = func(s Stream) {
			defer s.Close()
			for {
				b, err := s.Recv()
				if err != nil {
					ended <- err
					return
				}
				if string(b) == "end" {
					ended <- nil
					return
				}
				if err := s.Send(b); err != nil {
					ended <- err
					return
				}
			}
		}
	})
	return d, ended
}

func dialStream(t *testing.T, d *Dialer, address string) Stream {
	t.Helper()
	s, err := d.Dial(within5s(t), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func expectEnd(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("the other side of the stream did not end")
		return nil
	}
}

func TestStreamCarriesMessagesUpToTheLimitBothWays(t *testing.T) {
	for name, tlsConfig := range map[string]*tls.Config{"plain": nil, "mutual TLS": selfSigned(t)} {
		t.Run(name, func(t *testing.T) {
			d, ended := echoing(t, tlsConfig)
			s := dialStream(t, &Dialer{Cookie: testCookie, TLS: tlsConfig}, d.Address())
			for _, size := range []int{0, 1, 256 << 10, MaxStreamMessage} {
				want := bytes.Repeat([]byte{7}, size)
				if err := s.Send(bytes.Clone(want)); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Recv(); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
				}
			}
			s.Close()
			_ = expectEnd(t, ended)
			if tlsConfig == nil {
				return
			}
			if _, err := (&Dialer{Cookie: testCookie}).Dial(within5s(t), d.Address()); err == nil {
				t.Error("plain text was let in")
			}
		})
	}
}

func TestStreamThatEitherSideClosesEndsForBoth(t *testing.T) {
	d, ended := echoing(t, nil)
	dialer := &Dialer{Cookie: testCookie}
	s := dialStream(t, dialer, d.Address())
	s.Close()
	if err := expectEnd(t, ended); err == nil {
		t.Error("the acceptor did not see the caller's end")
	}
	s = dialStream(t, dialer, d.Address())
	if err := s.Send([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if err := expectEnd(t, ended); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the caller sees %v, want EOF", err)
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	d, _ := echoing(t, nil)
	if _, err := (&Dialer{Cookie: "guess"}).Dial(within5s(t), d.Address()); !errors.Is(err, ErrCookie) {
		t.Errorf("wrong cookie: %v", err)
	}
	if n := d.Refused()["cookie"]; n != 1 {
		t.Errorf("%d wrong cookies counted", n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := (&Dialer{Cookie: testCookie}).Dial(within5s(t), l.Addr().String()); !errors.Is(err, ErrRefused) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestDoorWithoutLinksAcceptsNoStream(t *testing.T) {
	d := openDoor(t, nil)
	if _, err := (&Dialer{Cookie: testCookie}).Dial(within5s(t), d.Address()); err == nil {
		t.Error("a stream was let in")
	}
	if n := d.Refused()["method"]; n != 1 {
		t.Errorf("%d refused methods counted", n)
	}
}

func TestStreamRefusesWhatIsTooLargeOrNoBytes(t *testing.T) {
	d, ended := echoing(t, nil)
	conn, err := grpc.NewClient("passthrough:///"+d.Address(), dialOptions(testCookie, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	big := make([]byte, MaxStreamMessage+1)
	for name, send := range map[string]func() (grpc.ClientStream, error){
		"too large": func() (grpc.ClientStream, error) {
			s, err := conn.NewStream(within5s(t), &linkDesc, linkMethod, grpc.CallContentSubtype("emqttd"))
			if err == nil {
				err = s.SendMsg(&big)
			}
			return s, err
		},
		"protobuf": func() (grpc.ClientStream, error) {
			s, err := conn.NewStream(within5s(t), &linkDesc, linkMethod)
			if err == nil {
				err = s.SendMsg(batch("x", nil, d.echo, nil, nil))
			}
			return s, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := send()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.RecvMsg(new([]byte)); err == nil {
				t.Error("it was taken")
			}
			if err := expectEnd(t, ended); err == nil {
				t.Error("the stream did not break")
			}
		})
	}
	t.Run("bytes for the framework", func(t *testing.T) {
		s, err := conn.NewStream(within5s(t), &linkDesc, receiveMethod, grpc.CallContentSubtype("emqttd"))
		if err != nil {
			t.Fatal(err)
		}
		b := []byte("garbage")
		if err := s.SendMsg(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new([]byte)); status.Code(err) == codes.OK {
			t.Errorf("got %v", err)
		}
	})
	_ = dialStream(t, &Dialer{Cookie: testCookie}, d.Address()) // the node lives
}
