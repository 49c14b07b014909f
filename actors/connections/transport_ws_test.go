package connections

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"emqttd/protocol/websocket"
)

const wsFinal = 0x80

// openWS is a WebSocket and the socket of its client.
func openWS(t *testing.T, maxFrame int) (Transport, io.ReadWriter) {
	t.Helper()
	server, client := socketPair(t)
	return NewWebSocket(NewTransport(server), nil, maxFrame), client
}

func mustWrite(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got % x %v, want % x", got, err, want)
	}
}

func TestPingIsAnsweredBetweenFrames(t *testing.T) {
	tr, client := openWS(t, 0)
	mustWrite(t, client, slices.Concat(
		maskedFrame(wsFinal|byte(websocket.Ping), []byte("first")),
		maskedFrame(wsFinal|byte(websocket.Binary), []byte("data"))))
	b, err := tr.Read([]byte("held "))
	if err != nil || string(b.Data) != "held data" {
		t.Fatalf("got %v", err)
	}
	mustRead(t, client, append([]byte{0x8a, 5}, "first"...))
	if n, err := tr.TryWrite([]byte("answer")); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	mustRead(t, client, append([]byte{0x82, 6}, "answer"...))
}

func TestPingIsAnsweredWhileAWriteIsStuck(t *testing.T) {
	tr, client := openWS(t, 0)
	want := noise(4 << 20)
	wrote := make(chan error, 1)
	go func() {
		_, err := tr.Write(want)
		wrote <- err
	}()
	c := &wsClient{rw: client}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got[:1]); err != nil { // the write is under way
		t.Fatal(err)
	}
	mustWrite(t, client, slices.Concat(
		maskedFrame(wsFinal|byte(websocket.Ping), []byte("now")), maskedFrame(wsFinal|byte(websocket.Binary), []byte("x"))))
	if b, err := tr.Read(nil); err != nil || string(b.Data) != "x" {
		t.Fatalf("reading waits for the writer: %v", err)
	}
	if _, err := io.ReadFull(c, got[1:]); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the stream is broken: %v", err)
	}
	if n, err := tr.TryWrite([]byte("z")); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := io.ReadFull(c, got[:1]); err != nil {
		t.Fatal(err)
	}
	if len(c.controls) != 1 || string(c.controls[0].Payload) != "now" {
		t.Errorf("answers %q", c.controls)
	}
}

func TestCloseFrameIsAnsweredBehindWhatWasBefore(t *testing.T) {
	tr, client := openWS(t, 0)
	mustWrite(t, client, slices.Concat(
		maskedFrame(wsFinal|byte(websocket.Binary), []byte("last")),
		maskedFrame(wsFinal|byte(websocket.Close), []byte{0x03, 0xe8}),
		maskedFrame(wsFinal|byte(websocket.Binary), []byte("too late"))))
	b, err := tr.Read(nil)
	if err != nil || string(b.Data) != "last" {
		t.Fatalf("got %v", err)
	}
	if _, err := tr.Read(nil); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	mustRead(t, client, []byte{0x88, 2, 0x03, 0xe8})
	_ = tr.Close()
	if rest, _ := io.ReadAll(client); len(rest) > 0 {
		t.Errorf("more came: % x", rest)
	}
}

func TestViolationIsAnsweredWithItsStatus(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		want  *websocket.Error
	}{
		{"text", maskedFrame(wsFinal|byte(websocket.Text), []byte("x")), websocket.ErrText},
		{"unmasked", []byte{0x82, 1, 'x'}, websocket.ErrUnmasked},
		{"too large", maskedFrame(wsFinal|byte(websocket.Binary), make([]byte, 1001)), websocket.ErrTooBig},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, client := openWS(t, 1000)
			mustWrite(t, client, c.frame)
			if _, err := tr.Read(nil); !errors.Is(err, c.want) || reasonOf(err) != c.want.Reason {
				t.Errorf("got %v", err)
			}
			mustRead(t, client, websocket.AppendClose(nil, c.want.Status))
		})
	}
}

func TestWhatCameWithTheRequestIsReadFirst(t *testing.T) {
	server, client := socketPair(t)
	early := maskedFrame(wsFinal|byte(websocket.Binary), []byte("early bird"))
	tr := NewWebSocket(NewTransport(server), early[:9], 0)
	mustWrite(t, client, early[9:])
	var got []byte
	for len(got) < 10 {
		b, err := tr.Read(nil)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.Data...)
	}
	if string(got) != "early bird" {
		t.Errorf("got %q", got)
	}
}

func TestClosingSaysThatWeGoAway(t *testing.T) {
	tr, client := openWS(t, 0)
	_ = tr.Close()
	mustRead(t, client, websocket.AppendClose(nil, websocket.GoingAway))
}
