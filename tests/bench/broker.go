package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// broker is a node in a process and a home of its own.
type broker struct {
	cmd     *exec.Cmd
	program string
	home    string
	port    string
	dist    string       // port for other nodes
	log     bytes.Buffer // read when the process has ended
}

const patience = 60 * time.Second

// startBroker starts a node with the settings it ships with, and those given.
func startBroker(ctx context.Context, program string, settings ...string) (*broker, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "emqttd-bench-")
	if err != nil {
		return nil, err
	}
	b := &broker{home: home, program: program}
	if err := b.launch(ctx, settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	return b, nil
}

func (b *broker) launch(ctx context.Context, settings []string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	b.port, b.dist = ports[0], ports[1]
	conf := b.conf()
	text := fmt.Sprintf("node.name = bench%s@127.0.0.1\nnode.dist_listen = 127.0.0.1:%s\nlog.console = console\nlog.console.level = error\nlistener.tcp.external = 127.0.0.1:%s\n", ports[1], ports[1], ports[0])
	for _, line := range settings {
		text += line + "\n"
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(conf), 0o755), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		return err
	}
	return b.relaunch(ctx)
}

func (b *broker) conf() string { return filepath.Join(b.home, "etc", "emq.conf") }

// relaunch starts the node in its home, where it may have been before.
func (b *broker) relaunch(ctx context.Context) error {
	b.cmd = exec.Command(b.program, "-c", b.conf(), "foreground")
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		return err
	}
	if err := b.answers(ctx); err != nil {
		return errors.Join(err, b.kill())
	}
	return nil
}

// answers waits until the listener takes connections.
func (b *broker) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	try := time.NewTicker(10 * time.Millisecond)
	defer try.Stop()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+b.port)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node does not listen: %w", err)
		case <-try.C:
		}
	}
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are found, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// load runs emqttd_bench against the broker and returns its report.
func (b *broker) load(ctx context.Context, program string, args []string) ([]byte, error) {
	args = append(args, "-p", b.port, "--pid", strconv.Itoa(b.cmd.Process.Pid), "--json", "--quiet")
	var report, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &report, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, report.Bytes(), errs.Bytes())
	}
	return report.Bytes(), nil
}

// stop lets the node end as it should, and removes its home.
func (b *broker) stop() error {
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		return errors.Join(b.kill(), os.RemoveAll(b.home))
	}
	late := time.AfterFunc(patience, func() { _ = b.cmd.Process.Kill() })
	defer late.Stop()
	err := b.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("the node ended with %w\n%s", err, b.log.Bytes())
	}
	return errors.Join(err, os.RemoveAll(b.home))
}

func (b *broker) kill() error {
	_ = b.cmd.Process.Kill() // it may have ended by itself
	_ = b.cmd.Wait()
	return fmt.Errorf("the node was killed\n%s", b.log.Bytes())
}
