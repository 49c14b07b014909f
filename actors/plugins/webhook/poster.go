package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"emqttd/actors/plugins"
)

// poster has the queue and the workers that empty it.
type poster struct {
	options
	log     *slog.Logger
	client  *http.Client
	queue   chan []byte
	running sync.WaitGroup

	posted, dropped atomic.Uint64
	logged          atomic.Int64 // when a drop was logged last, Unix seconds
}

func newPoster(ctx context.Context, o options, log *slog.Logger) *poster {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxConnsPerHost = o.workers, o.workers
	p := &poster{
		options: o, log: log, queue: make(chan []byte, o.queue),
		client: &http.Client{Transport: t, Timeout: o.timeout},
	}
	for range o.workers {
		p.running.Go(func() { p.work(ctx) })
	}
	return p
}

func (p *poster) work(ctx context.Context) {
	for {
		select {
		case body := <-p.queue:
			p.deliver(ctx, body)
		case <-ctx.Done():
			return
		}
	}
}

// deliver posts an event, again if it cannot be delivered: after 100 ms, 200 ms and
// so on. What the server refuses (4xx) it would refuse again.
func (p *poster) deliver(ctx context.Context, body []byte) {
	pause := 100 * time.Millisecond
	for try := 0; ; try++ {
		again, err := p.post(ctx, body)
		if err == nil {
			p.posted.Add(1)
			return
		}
		if !again || try >= p.retries || ctx.Err() != nil {
			p.drop("not_delivered", err)
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause *= 2
	}
}

// maxAnswer is how much of an answer is read, so that its connection can be used
// again.
const maxAnswer = 64 << 10

func (p *poster) post(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(r)
	if err != nil {
		return true, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // whatever it says
	_ = res.Body.Close()
	if res.StatusCode < 300 {
		return false, nil
	}
	return res.StatusCode >= 500, fmt.Errorf("the server answers %s", res.Status)
}

// drop counts an event that is not delivered, and says so at most once in a minute.
func (p *poster) drop(reason string, err error) {
	n, now, last := p.dropped.Add(1), time.Now().Unix(), p.logged.Load()
	if now-last >= 60 && p.logged.CompareAndSwap(last, now) {
		p.log.Warn("events of the web hook are dropped", "reason", reason, "error", err, "dropped", n)
	}
}

func (p *poster) command() plugins.Command {
	return plugins.Command{
		Name: "webhook", Usage: [][2]string{{"webhook", "Show how many events were posted, wait and were dropped"}},
		Run: func([]string) (string, int) {
			return fmt.Sprintf("%-20s: %d\n%-20s: %d\n%-20s: %d\n", "webhook/posted", p.posted.Load(),
				"webhook/waiting", len(p.queue), "webhook/dropped", p.dropped.Load()), 0
		},
	}
}
