package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names of who takes part in a comparison. The last two are the floor: relays
// that move packets and do nothing else.
const (
	emqttd          = "emqttd"
	ourGoroutines   = "emqttd-goroutines" // with node.reader = goroutine
	mosquitto       = "mosquitto"
	mochi           = "mochi"
	nats            = "nats"
	floorGoroutines = "floor-goroutines"
	floorEpoll      = "floor-epoll"
)

// rivals finds the programs of those that take part.
type rivals struct {
	bin   string // folder of emqttd and emqttd_bench
	peers string // program of tests/bench/peers
}

// mosquittoConf is what differs from Debian's mosquitto by itself: nothing is
// stored, queues have no bound, and packets leave at once.
const mosquittoConf = `user root
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 100
set_tcp_nodelay true
log_type error
listener %s 127.0.0.1
`

// ourConf is etc/emq.conf as it ships, on ports nobody uses.
const ourConf = `node.name = bench%[1]s@127.0.0.1
node.dist_listen = 127.0.0.1:%[1]s
log.console = console
log.console.level = error
listener.tcp.external = 127.0.0.1:%[2]s
listener.ws.external = 127.0.0.1:%[3]s
listener.api.http = 127.0.0.1:%[4]s
`

// rival is a broker that runs in a process and a folder of its own.
type rival struct {
	name    string
	cmd     *exec.Cmd
	dir     string
	tcp, ws string       // ports
	api     string       // port of ours, for profiles
	log     bytes.Buffer // read when the process has ended
}

// start starts one and waits until it listens; the settings are lines of emq.conf.
func (r *rivals) start(ctx context.Context, name string, settings []string) (*rival, error) {
	dir, err := os.MkdirTemp("", "emqttd-bench-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	b := &rival{name: name, dir: dir, tcp: ports[0], ws: ports[1], api: ports[2]}
	if b.cmd, err = r.command(b, ports[3], settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := b.listens(ctx); err != nil {
		return nil, errors.Join(err, b.stop(), fmt.Errorf("%s", b.log.Bytes()))
	}
	return b, nil
}

func (r *rivals) command(b *rival, dist string, settings []string) (*exec.Cmd, error) {
	tcp, ws := "127.0.0.1:"+b.tcp, "127.0.0.1:"+b.ws
	switch b.name {
	case emqttd, ourGoroutines:
		if b.name == ourGoroutines {
			settings = append(settings[:len(settings):len(settings)], "node.reader = goroutine")
		}
		conf := filepath.Join(b.dir, "etc", "emq.conf")
		text := fmt.Sprintf(ourConf, dist, b.tcp, b.ws, b.api) + strings.Join(append(settings, ""), "\n")
		program, err := filepath.Abs(filepath.Join(r.bin, "emqttd"))
		if err := errors.Join(err, os.Mkdir(filepath.Dir(conf), 0o755), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
			return nil, err
		}
		return exec.Command(program, "-c", conf, "foreground"), nil
	case mosquitto:
		conf := filepath.Join(b.dir, "mosquitto.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, mosquittoConf, b.tcp), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(mosquittoProgram(), "-c", conf), nil
	case nats:
		return exec.Command(r.peers, b.name, "-tcp", tcp, "-ws", ws, "-dir", b.dir), nil
	case mochi:
		return exec.Command(r.peers, b.name, "-tcp", tcp, "-ws", ws), nil
	}
	return exec.Command(r.peers, b.name, "-tcp", tcp), nil
}

// mosquittoProgram is found also where only root's PATH leads.
func mosquittoProgram() string {
	if p, err := exec.LookPath("mosquitto"); err == nil {
		return p
	}
	return "/usr/sbin/mosquitto"
}

func (b *rival) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+b.tcp)
		if err == nil {
			return conn.Close()
		}
		if await(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("%s does not listen: %w", b.name, err)
		}
	}
}

// stop ends the process, by force if it takes long, and removes its folder.
func (b *rival) stop() error {
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	late := time.AfterFunc(10*time.Second, func() { _ = b.cmd.Process.Kill() })
	defer late.Stop()
	err := b.cmd.Wait()
	if (b.name == emqttd || b.name == ourGoroutines) && err != nil {
		err = fmt.Errorf("the node ended with %w\n%s", err, b.log.Bytes())
	} else {
		err = nil // how others end is not our concern
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// load runs emqttd_bench against it. A report that tells of losses is one.
func (r *rivals) load(ctx context.Context, b *rival, args []string) (result, error) {
	port := b.tcp
	for _, a := range args {
		if a == "--ws" {
			port = b.ws
		}
	}
	args = append(args, "-p", port, "--pid", strconv.Itoa(b.cmd.Process.Pid), "--json", "--quiet")
	var report, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "emqttd_bench"), args...)
	cmd.Stdout, cmd.Stderr = &report, &errs
	failed := cmd.Run()
	var found result
	if err := json.Unmarshal(report.Bytes(), &found); err != nil {
		return nil, fmt.Errorf("%w: %s", errors.Join(failed, err), errs.Bytes())
	}
	return found, nil
}

// versions says which ones take part.
func (r *rivals) versions(ctx context.Context) map[string]string {
	v := map[string]string{}
	number := regexp.MustCompile(`\d+\.\d+\S*`)
	out, _ := exec.CommandContext(ctx, mosquittoProgram(), "-h").Output() // its exit code is 3
	v[mosquitto] = number.FindString(string(out))
	out, _ = exec.CommandContext(ctx, r.peers, "versions").Output()
	for line := range strings.Lines(string(out)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			v[name] = strings.TrimPrefix(version, "v")
		}
	}
	out, _ = exec.CommandContext(ctx, filepath.Join(r.bin, "emqttd"), "--version").Output()
	v[emqttd] = number.FindString(string(out))
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		v["commit"] = strings.TrimSpace(string(out))
	}
	return v
}
