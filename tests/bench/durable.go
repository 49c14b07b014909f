package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"emqttd/protocol/topic"
)

func topicName(s string) topic.Name { return topic.Name(s) }

// fetchers is how many sessions share what is queued, and how many clients drain.
const fetchers = 10

// queueAndKill queues messages for absent sessions of class disk, kills the
// broker, starts it again and drains them: what a message costs on the way, on
// the disk and in memory, and that none is lost.
func queueAndKill(window int) func(ctx context.Context, s *suite) (result, error) {
	return func(ctx context.Context, s *suite) (result, error) {
		n := min(1_000_000, 5_000*window)
		if s.short {
			n = min(20_000, 100*window)
		}
		b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"), "mqtt.mqueue.max_bytes = 4GB")
		if err != nil {
			return nil, err
		}
		r, err := b.queueAndKill(ctx, s, n, window)
		return r, errors.Join(err, b.stop())
	}
}

func (b *broker) queueAndKill(ctx context.Context, s *suite, n, window int) (result, error) {
	for i := range fetchers {
		c, err := dial(ctx, b.port, fmt.Sprintf("fetch-%d", i))
		if err != nil {
			return nil, err
		}
		if err := c.subscribe(fmt.Sprintf("queue/%d/#", i)); err != nil {
			return nil, err
		}
		c.close()
	}
	r := result{}
	rss, disk := b.rss(), b.disk()
	started := time.Now()
	p, err := dial(ctx, b.port, "fill")
	if err != nil {
		return nil, err
	}
	err = p.publish(n, window, 64, false, func(i int) string { return fmt.Sprintf("queue/%d/device-000042", i%fetchers) })
	if err != nil {
		return nil, err
	}
	r["queue_per_s"] = float64(n) / time.Since(started).Seconds()
	p.close()
	pause(ctx, s.settle())
	r["rss_per_message"] = float64(b.rss()-rss) / float64(n)
	r["disk_per_message"] = float64(b.disk()-disk) / float64(n)
	_ = b.kill() // its error says what was killed
	started = time.Now()
	if err := b.relaunch(ctx); err != nil {
		return nil, err
	}
	r["restart_s"] = time.Since(started).Seconds()
	started = time.Now()
	got, err := b.drainAll(ctx, n)
	if err != nil {
		return nil, err
	}
	r["drain_per_s"] = float64(got) / time.Since(started).Seconds()
	r["lost"] = float64(n - got)
	return r, nil
}

func (b *broker) drainAll(ctx context.Context, n int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	got, errs := make([]int, fetchers), make([]error, fetchers)
	for i := range fetchers {
		wait.Go(func() {
			c, err := dial(ctx, b.port, fmt.Sprintf("fetch-%d", i))
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			if d, ok := ctx.Deadline(); ok {
				_ = c.conn.SetDeadline(d) // a socket has one
			}
			got[i], errs[i] = c.drain(n / fetchers)
		})
	}
	wait.Wait()
	all := 0
	for _, k := range got {
		all += k
	}
	return all, errors.Join(errs...)
}

// recovery measures how long a node takes until it listens again, with so many
// sessions and retained messages on its disk, less what it takes with nothing.
func recovery(ctx context.Context, s *suite) (result, error) {
	sessions, retained := 100_000, 1_000_000
	if s.short {
		sessions, retained = 500, 5_000
	}
	r := result{}
	for _, m := range []struct {
		key  string
		fill func(ctx context.Context, b *broker) error
	}{
		{"empty_s", func(context.Context, *broker) error { return nil }},
		{"sessions_s", func(ctx context.Context, b *broker) error { return b.manySessions(ctx, sessions) }},
		{"retained_s", func(ctx context.Context, b *broker) error { return b.manyRetained(ctx, retained) }},
	} {
		b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"), "retainer.max_message_num = 0")
		if err != nil {
			return nil, err
		}
		err = m.fill(ctx, b)
		if err == nil {
			_ = b.kill() // its error says what was killed
			started := time.Now()
			err = b.relaunch(ctx)
			r[m.key] = time.Since(started).Seconds()
		}
		if err = errors.Join(err, b.stop()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (b *broker) manySessions(ctx context.Context, n int) error {
	const workers = 64
	var wait sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wait.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				id := "device-" + strconv.Itoa(i)
				c, err := dial(ctx, b.port, id)
				if err == nil {
					err = c.subscribe("cmd/" + id + "/#")
					c.close()
				}
				errs[w] = err
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (b *broker) manyRetained(ctx context.Context, n int) error {
	c, err := dial(ctx, b.port, "retain")
	if err != nil {
		return err
	}
	defer c.close()
	return c.publish(n, 1000, 64, true, func(i int) string { return "state/device-" + strconv.Itoa(i) })
}

// bareSync is how often a second this disk syncs a small write by itself.
func bareSync(context.Context, *suite) (result, error) {
	f, err := os.CreateTemp("", "emqttd-bench-sync-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }() // it was only a probe
	page := make([]byte, 512)
	n, started := 0, time.Now()
	for time.Since(started) < time.Second {
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		n++
	}
	return result{"syncs_per_s": float64(n) / time.Since(started).Seconds()}, nil
}

func (s *suite) settle() time.Duration {
	if s.short {
		return 100 * time.Millisecond
	}
	return 3 * time.Second
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// rss is the memory of the process in bytes, 0 where the system does not tell.
func (b *broker) rss() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	words := strings.Fields(string(rest))
	if len(words) == 0 {
		return 0
	}
	kb, _ := strconv.ParseInt(words[0], 10, 64) // the kernel writes numbers
	return kb << 10
}

// disk is the size of what the broker keeps.
func (b *broker) disk() (size int64) {
	_ = filepath.WalkDir(filepath.Join(b.home, "data"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that has just been deleted takes no room
		}
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() {
			size += i.Size()
		}
		return nil
	})
	return size
}
