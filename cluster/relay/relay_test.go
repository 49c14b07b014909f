package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"emqttd/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func two(t *testing.T) (w *clustertest.World, a, b *Relay) {
	t.Helper()
	w = new(clustertest.World)
	t.Cleanup(w.Close)
	log := slog.New(slog.DiscardHandler)
	na, nb := w.Node("a"), w.Node("b")
	return w, New(na, log), New(nb, log)
}

func connect(w *clustertest.World, a, b *Relay) {
	w.Connect(a.net.(*clustertest.Net), b.net.(*clustertest.Net))
}

func cut(w *clustertest.World, a, b *Relay) {
	w.Cut(a.net.(*clustertest.Net), b.net.(*clustertest.Net))
}

func TestALongQuestionHasALongAnswer(t *testing.T) {
	w, a, b := two(t)
	b.Serve("twice", func(_ context.Context, body []byte) ([]byte, error) { return append(body, body...), nil })
	connect(w, a, b)
	for _, n := range []int{0, 1, pieceLen, pieceLen + 1, 3 << 20} {
		body := bytes.Repeat([]byte("x"), n)
		if got, err := a.Ask(t.Context(), "b", "twice", body); err != nil || len(got) != 2*n {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
}

func TestWhoCannotBeAskedIsAnError(t *testing.T) {
	w, a, b := two(t)
	b.Serve("fail", func(context.Context, []byte) ([]byte, error) { return []byte("x"), errors.New("cannot") })
	b.Serve("panic", func(context.Context, []byte) ([]byte, error) { panic("oh") })
	b.Serve("long", func(context.Context, []byte) ([]byte, error) { return make([]byte, maxBody+1), nil })
	if _, err := a.Ask(t.Context(), "b", "fail", nil); !errors.Is(err, ErrNoNode) {
		t.Errorf("before they know each other: %v", err)
	}
	connect(w, a, b)
	for method, want := range map[string]string{"fail": "cannot", "panic": "it panicked: oh", "nothing": errMethod.Error(), "long": errLong.Error()} {
		if body, err := a.Ask(t.Context(), "b", method, nil); err == nil || err.Error() != want || body != nil {
			t.Errorf("%s: %q, %v", method, body, err)
		}
	}
	if _, err := a.Ask(t.Context(), "a", "fail", nil); !errors.Is(err, ErrNoNode) {
		t.Errorf("itself: %v", err)
	}
}

func TestAQuestionIsCancelledWhenNobodyWaits(t *testing.T) {
	w, a, b := two(t)
	began, ended := make(chan struct{}), make(chan error, 1)
	b.Serve("wait", func(ctx context.Context, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	connect(w, a, b)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-began
		stop()
	}()
	if _, err := a.Ask(ctx, "b", "wait", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("there: %v", err)
	}
}

func TestQuestionsEndWithTheConversation(t *testing.T) {
	w, a, b := two(t)
	began, ended := make(chan struct{}), make(chan struct{})
	b.Serve("wait", func(ctx context.Context, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, nil
	})
	connect(w, a, b)
	go func() {
		<-began
		cut(w, a, b)
	}()
	if _, err := a.Ask(t.Context(), "b", "wait", nil); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestTooManyQuestionsAreRefusedAndTheOthersAnswered(t *testing.T) {
	w, a, b := two(t)
	began, release := make(chan struct{}, maxRunning), make(chan struct{})
	b.Serve("wait", func(_ context.Context, body []byte) ([]byte, error) {
		began <- struct{}{}
		<-release
		return body, nil
	})
	connect(w, a, b)
	var all sync.WaitGroup
	for i := range maxRunning {
		all.Go(func() {
			text := fmt.Sprint(i)
			if got, err := a.Ask(t.Context(), "b", "wait", []byte(text)); err != nil || string(got) != text {
				t.Errorf("%s: %q, %v", text, got, err)
			}
		})
	}
	for range maxRunning {
		<-began
	}
	if _, err := a.Ask(t.Context(), "b", "wait", nil); err == nil || err.Error() != ErrBusy.Error() {
		t.Errorf("one more: %v", err)
	}
	close(release)
	all.Wait()
}

func TestNewsComeToAllOthers(t *testing.T) {
	w, a, b := two(t)
	c := New(w.Node("c"), slog.New(slog.DiscardHandler))
	got := make(chan string, 2)
	for _, r := range []*Relay{b, c} {
		r.Serve("hear", func(_ context.Context, body []byte) ([]byte, error) {
			got <- string(body[:3])
			return nil, nil
		})
	}
	a.Serve("hear", func(context.Context, []byte) ([]byte, error) {
		t.Error("who tells it hears it")
		return nil, nil
	})
	w.ConnectAll()
	a.Tell("hear", []byte(strings.Repeat("abc", 200_000)))
	if x, y := <-got, <-got; x != "abc" || y != "abc" {
		t.Errorf("%s, %s", x, y)
	}
}
