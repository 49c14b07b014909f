package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// withListener starts a broker with one more listener, and returns its port.
func (s *suite) withListener(ctx context.Context, typ string, settings ...string) (*broker, string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, "", err
	}
	b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"),
		append(settings, "listener."+typ+".bench = 127.0.0.1:"+ports[0], "listener."+typ+".bench.max_conn_rate = 0")...)
	return b, ports[0], err
}

// idleTLS has emqttd_bench connect clients over TLS.
func idleTLS(ctx context.Context, s *suite) (r result, err error) {
	b, port, err := s.withListener(ctx, "ssl")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	args := strings.Fields("conn -S --insecure -c 5000 --rate 500 -t dev/%i -q 1 --settle 5s")
	if s.short {
		args = strings.Fields("conn -S --insecure -c 100 -t dev/%i -q 1 --settle 200ms --hold 100ms")
	}
	tcp := b.port
	b.port = port
	out, err := b.load(ctx, filepath.Join(s.bin, "emqttd_bench"), args)
	b.port = tcp
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(out, &r)
}

// idleWebSockets is what a client over WebSocket takes that has a session and a
// subscription and does nothing.
func idleWebSockets(ctx context.Context, s *suite) (r result, err error) {
	b, port, err := s.withListener(ctx, "ws")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	n, settle := 10000, 5*time.Second
	if s.short {
		n, settle = 100, 200*time.Millisecond
	}
	before := b.rss()
	for i := range n {
		c, err := dialLine(ctx, "ws", port, fmt.Sprintf("idle-%d", i), fmt.Sprintf("dev/%d", i))
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.conn.Close() }() // until all have been counted
	}
	if err := await(ctx, settle); err != nil {
		return nil, err
	}
	return result{"rss_each": float64(b.rss()-before) / float64(n) / 1024}, nil
}

// line is a client that sends and receives QoS 0 over TCP or WebSocket.
type line struct {
	conn net.Conn
	r    *bufio.Reader
	ws   bool
}

// dialLine connects, and subscribes to a topic unless it is empty.
func dialLine(ctx context.Context, typ, port, id, filter string) (*line, error) {
	c := &line{ws: typ == "ws"}
	var err error
	if c.ws {
		d := ws.Dialer{Protocols: []string{"mqtt"}}
		c.conn, c.r, _, err = d.Dial(ctx, "ws://127.0.0.1:"+port+"/mqtt")
	} else {
		var d net.Dialer
		c.conn, err = d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	}
	if err != nil {
		return nil, err
	}
	if c.r == nil {
		c.r = bufio.NewReaderSize(c.conn, 1<<10)
	}
	if err := c.send((&mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: id}).Append(nil, mqtt.V311)); err != nil {
		return nil, err
	}
	if err := c.skip(4); err != nil || filter == "" {
		return c, err
	}
	p := mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: protocol.AtMostOnce}}}
	if err := c.send(p.Append(nil, mqtt.V311)); err != nil {
		return nil, err
	}
	return c, c.skip(5)
}

// framed are packets as they go over the wire, each in a frame of its own.
func (c *line) framed(packets ...[]byte) []byte {
	var b []byte
	for _, p := range packets {
		if c.ws {
			p = ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(p)))
		}
		b = append(b, p...)
	}
	return b
}

func (c *line) send(p []byte) error {
	_, err := c.conn.Write(c.framed(p))
	return err
}

// skip reads so many bytes of MQTT.
func (c *line) skip(n int) error {
	for n > 0 {
		got, err := c.next(n)
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

// next reads bytes of MQTT, at most n over TCP and a frame over WebSocket.
func (c *line) next(n int) (int, error) {
	if c.ws {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return 0, err
		}
		n = int(h.Length)
	}
	return c.r.Discard(n)
}

// webSocketPairs is what a message of QoS 0 costs over WebSocket in terms of one
// over TCP, in turns on one broker.
func webSocketPairs(ctx context.Context, s *suite) (r result, err error) {
	b, port, err := s.withListener(ctx, "ws")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	rounds, length := 3, 2*time.Second
	if s.short {
		rounds, length = 1, 200*time.Millisecond
	}
	var cost [2]float64
	for range rounds {
		for i, at := range []struct{ typ, port string }{{"tcp", b.port}, {"ws", port}} {
			us, err := b.pairs(ctx, at.typ, at.port, length)
			if err != nil {
				return nil, err
			}
			cost[i] += us / float64(rounds)
		}
	}
	return result{"tcp_us": cost[0], "ws_us": cost[1], "ratio": cost[1] / cost[0]}, nil
}

// pairs has publishers send to one subscriber each, and returns the broker's CPU
// time of a message in microseconds.
func (b *broker) pairs(ctx context.Context, typ, port string, length time.Duration) (float64, error) {
	const many, batch = 20, 16
	var received atomic.Int64
	var wait sync.WaitGroup
	var all []*line
	defer func() {
		for _, c := range all {
			_ = c.conn.Close()
		}
		wait.Wait()
	}()
	for i := range many {
		topic := fmt.Sprintf("pair/%s/%d", typ, i)
		sub, err := dialLine(ctx, typ, port, "sub"+topic, topic)
		if err != nil {
			return 0, err
		}
		pub, err := dialLine(ctx, typ, port, "pub"+topic, "")
		if err != nil {
			return 0, err
		}
		all = append(all, sub, pub)
		packet := (&mqtt.Publish{Topic: topicName(topic), Payload: make([]byte, 64)}).Append(nil, mqtt.V311)
		packets := make([][]byte, batch)
		for j := range packets {
			packets[j] = packet
		}
		out := pub.framed(packets...)
		credit, gone := make(chan struct{}, 4), make(chan struct{}) // batches on the way
		wait.Go(func() {
			defer close(gone)
			for have := 0; ; {
				n, err := sub.next(len(packet))
				if err != nil {
					return
				}
				received.Add(int64(n))
				for have += n; have >= len(packet)*batch; have -= len(packet) * batch {
					<-credit
				}
			}
		})
		wait.Go(func() {
			for {
				select {
				case credit <- struct{}{}:
				case <-gone:
					return
				}
				if _, err := pub.conn.Write(out); err != nil {
					return
				}
			}
		})
	}
	size := int64(len((&mqtt.Publish{Topic: topicName(fmt.Sprintf("pair/%s/1", typ)), Payload: make([]byte, 64)}).Append(nil, mqtt.V311)))
	if err := await(ctx, length/4); err != nil {
		return 0, err
	}
	cpu, n := cpuOf(b.cmd.Process.Pid), received.Load()
	if err := await(ctx, length); err != nil {
		return 0, err
	}
	used, messages := cpuOf(b.cmd.Process.Pid)-cpu, (received.Load()-n)/size
	if messages == 0 {
		return 0, errors.New("no message has come through")
	}
	return float64(used.Microseconds()) / float64(messages), nil
}

// await lets time pass.
func await(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// cpuOf is the CPU time that a process has used.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	words := strings.Fields(rest)
	user, _ := strconv.Atoi(words[11])
	system, _ := strconv.Atoi(words[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// handshakes compares full TLS 1.3 handshakes with ECDSA P-256 and X25519 per
// second of one core, the broker's with those of openssl s_server, in turns.
func handshakes(ctx context.Context, s *suite) (r result, err error) {
	b, port, err := s.withListener(ctx, "ssl")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	certs := filepath.Join(b.home, "etc", "certs")
	reference := exec.CommandContext(ctx, "openssl", "s_server", "-accept", "127.0.0.1:"+ports[0], "-quiet",
		"-cert", filepath.Join(certs, "cert.pem"), "-key", filepath.Join(certs, "key.pem"))
	stdin, err := reference.StdinPipe() // at its end it would stop
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }() // it is killed
	if err := reference.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = reference.Process.Kill()
		_ = reference.Wait()
	}()
	n, rounds := 2000, 3
	if s.short {
		n, rounds = 50, 1
	}
	var rates [2]float64
	for range rounds {
		for i, at := range []struct {
			pid  int
			port string
		}{{b.cmd.Process.Pid, port}, {reference.Process.Pid, ports[0]}} {
			rate, err := shakeHands(ctx, at.pid, at.port, n)
			if err != nil {
				return nil, err
			}
			rates[i] += rate / float64(rounds)
		}
	}
	return result{"ours": rates[0], "openssl": rates[1], "ratio": rates[0] / rates[1]}, nil
}

// shakeHands returns how many handshakes a server does in a second of CPU time.
func shakeHands(ctx context.Context, pid int, port string, n int) (float64, error) {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}
	var d net.Dialer
	var before time.Duration
	for i := range n + n/10 {
		if i == n/10 { // warm
			before = cpuOf(pid)
		}
		deadline := time.Now().Add(patience)
		conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
		for err != nil && time.Now().Before(deadline) && i == 0 { // it starts
			if err = await(ctx, 10*time.Millisecond); err == nil {
				conn, err = d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
			}
		}
		if err != nil {
			return 0, err
		}
		c := tls.Client(conn, config)
		if err := errors.Join(c.HandshakeContext(ctx), c.CloseWrite()); err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, conn) // until the server is done with it
		_ = conn.Close()
	}
	used := cpuOf(pid) - before
	return float64(n) / max(used.Seconds(), 0.01), nil
}
