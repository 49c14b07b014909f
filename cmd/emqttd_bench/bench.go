package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"emqttd/cmd/emqttd_bench/internal/measure"
	"emqttd/cmd/emqttd_bench/internal/swarm"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// bench is a scenario that runs: the clients, where they go, and what is found.
type bench struct {
	*options
	*swarm.Swarm
	*report
	ctx         context.Context
	to          netip.AddrPort
	run         uint32 // marks the messages of this run
	dialed      int
	failed      map[string]int // by what went wrong
	status      func() string  // what the progress line says
	everySecond func()
	stderr      io.Writer
	start       time.Time
}

func runScenario(cmd *cobra.Command, o *options, measured func(*bench) error) error {
	if err := o.check(); err != nil {
		return err
	}
	b := &bench{options: o, report: &report{name: cmd.Name()}, ctx: cmd.Context(), failed: map[string]int{}, stderr: cmd.ErrOrStderr(), start: time.Now()}
	secure, err := o.tls()
	if err != nil {
		return err
	}
	if b.to, err = o.resolve(b.ctx); err != nil {
		return err
	}
	if b.Swarm, err = swarm.New(o.goroutines, secure); err != nil {
		return err
	}
	defer b.Swarm.Close()
	if o.ws {
		b.WebSocket = o.wsPath
	}
	// Memory that the collector spares is time that the broker gets.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	b.run = uint32(b.Clock())
	b.add("target", "broker", b.to.String(), "")
	b.add("version", "protocol", map[bool]string{false: "MQTT 3.1.1", true: "MQTT 5"}[o.v5], "")
	if !o.quiet {
		fmt.Fprintf(b.stderr, "%s: loading the broker at %s\n", b.name, b.to)
	}
	b.Second = b.second
	if o.pid > 0 && !measure.Now(o.pid).Known {
		return fmt.Errorf("--pid %d: no such process, or no /proc here", o.pid)
	}
	if err := measured(b); err != nil {
		return err
	}
	b.leave()
	return b.tell(cmd.OutOrStdout())
}

// second prints where the run is: over the line before on a terminal, and else
// below it.
func (b *bench) second(int64) {
	if b.everySecond != nil {
		b.everySecond()
	}
	if b.quiet || b.status == nil {
		return
	}
	end := "\n"
	if f, ok := b.stderr.(*os.File); ok {
		if i, err := f.Stat(); err == nil && i.Mode()&os.ModeCharDevice != 0 {
			end = "\x1b[K\r"
		}
	}
	fmt.Fprintf(b.stderr, "%3.0fs  %s%s", time.Since(b.start).Seconds(), b.status(), end)
}

// leave ends what connections are left in good order.
func (b *bench) leave() {
	b.Turn, b.status, b.everySecond = nil, nil, nil
	b.EachConn(func(c *swarm.Conn) { c.Bye() })
	b.Await(context.WithoutCancel(b.ctx), 5*time.Second, func() bool { return b.Open() == 0 })
}

// tell prints the report, and fails if it has errors.
func (b *bench) tell(w io.Writer) error {
	for what, n := range b.failed {
		b.faults = append(b.faults, fmt.Sprintf("%d × %s", n, what))
	}
	slices.Sort(b.faults)
	if b.json {
		if err := json.NewEncoder(w).Encode(b.report); err != nil {
			return err
		}
	} else {
		b.text(w)
	}
	if len(b.faults) > 0 {
		return errFailed
	}
	return nil
}

// fail counts what went wrong.
func (b *bench) fail(what string) { b.failed[what]++ }

// fault reports a failure that is told once.
func (b *bench) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// wait runs the clients until done, or for a time; an interrupt ends it, too.
func (b *bench) wait(d time.Duration, done func() bool) bool {
	return b.Await(b.ctx, d, done)
}

// rest runs the clients for a time.
func (b *bench) rest(d time.Duration) { b.wait(d, nil) }

// settled runs the clients until done, and gives up when progress, which only
// grows, has stood still for a time.
func (b *bench) settled(idle time.Duration, progress func() int64, done func() bool) bool {
	last, since := progress(), b.Clock()
	over := false
	ok := b.wait(b.timeout, func() bool {
		if p := progress(); p != last {
			last, since = p, b.Now()
		}
		over = b.Now()-since > int64(idle)
		return over || done()
	})
	return ok && done()
}

// usage is what was used until now.
func (b *bench) used() measure.Usage { return measure.Now(b.pid) }

// client is what join needs to know of one.
type client struct {
	name    string // part of the client identifier before its number
	events  swarm.Events
	filters []string
	qos     protocol.QoS
	keep    bool // the session survives, whatever -C says
	fresh   bool // the session does not, whatever -C says
}

func (b *bench) hello(p client, number int) *mqtt.Connect {
	h := &mqtt.Connect{
		Version: b.version(), CleanStart: b.clean, KeepAlive: b.keepAlive, ClientID: b.clientID(p.name, number),
		HasUserName: b.user != "" || b.password != "", UserName: b.user, HasPassword: b.password != "", Password: []byte(b.password),
	}
	h.CleanStart = (b.clean || p.fresh) && !p.keep
	if b.v5 && !h.CleanStart {
		h.Properties.SessionExpiry = 3600
	}
	return h
}

func (b *bench) clientID(name string, number int) string {
	return b.prefix + "_" + name + "_" + strconv.Itoa(number)
}
