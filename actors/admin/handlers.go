package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sysdescr is what the broker calls itself.
const Sysdescr = "Go MQTT Broker"

const notFoundText = "Not Found.\n"

func notFound() Result { return Result{Text: notFoundText, ExitCode: 1} }

func refused(err error) Result { return Result{Text: "Error: " + err.Error() + "\n", ExitCode: 1} }

// coreHandlers are the commands of the broker itself, in the order in which help lists them.
func coreHandlers() []*Handler {
	all := []*Handler{
		{Name: "status", Run: status, Usage: []Usage{{"status", "Show broker status"}}},
		{Name: "broker", Run: broker, Usage: []Usage{
			{"broker", "Show broker version, uptime and description"},
			{"broker stats", "Show broker statistics of clients, topics, subscribers"},
			{"broker metrics", "Show broker metrics"},
		}},
		{Name: "clients", Run: clients, Usage: []Usage{
			{"clients list", "List all clients"},
			{"clients show <ClientId>", "Show a client"},
			{"clients kick <ClientId>", "Kick out a client"},
		}},
		{Name: "sessions", Run: sessions, Usage: []Usage{
			{"sessions list", "List all sessions"},
			{"sessions list persistent", "List all persistent sessions"},
			{"sessions list transient", "List all transient sessions"},
			{"sessions show <ClientId>", "Show a session"},
		}},
		{Name: "routes", Run: routes, Usage: []Usage{
			{"routes list", "List all routes"},
			{"routes show <Topic>", "Show a route"},
		}},
		{Name: "topics", Run: topics, Usage: []Usage{
			{"topics list", "List all topics"},
			{"topics show <Topic>", "Show a topic"},
		}},
		{Name: "subscriptions", Run: subscriptions, Usage: []Usage{
			{"subscriptions list", "List all subscriptions"},
			{"subscriptions show <ClientId>", "Show subscriptions of a client"},
			{"subscriptions add <ClientId> <Topic> <QoS>", "Add a subscription for a session"},
			{"subscriptions del <ClientId> <Topic>", "Delete a subscription of a session"},
		}},
		{Name: "listeners", Run: listeners, Usage: []Usage{
			{"listeners", "List listeners"},
			{"listeners start <Name>", "Accept clients again"},
			{"listeners stop <Name>", "Accept no clients any more; those that are there stay"},
			{"listeners restart <Name>", "Stop and start a listener"},
			{"listeners reload [<Name>]", "Read certificates and revocations again; clients stay"},
		}},
		{Name: "actors", Run: actors, Usage: []Usage{
			{"actors tree [<Name>] [--shape] [--all]", "Show the supervision tree"},
			{"actors show <Name>", "Show an actor"},
			{"actors kill <Name>", "Crash an actor; its supervisor takes over"},
		}},
		storeHandler(),
		{Name: "help", Run: help, Usage: []Usage{{"help [<Command>]", "Show this help, or that of a command"}}},
		{Name: "node", Run: node, Hidden: true, Usage: []Usage{
			{"node ping", "Ask whether the node runs"},
			{"node stop", "Stop the node"},
		}},
		{Name: "drain", Run: drain, Usage: []Usage{
			{"drain [<Server>]", "Refuse new clients and send the others to Server, little by little"},
			{"drain [<Server>] --moved", "The same, for good: clients need not come back"},
			{"drain off", "Take clients again"},
		}},
	}
	return append(all, accessHandlers()...)
}

// drain empties a node of its clients, so that it can be stopped without a storm.
func drain(r *Request) Result {
	args := slices.Clone(r.Args)
	moved := slices.Contains(args, "--moved")
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--moved" })
	server := ""
	switch {
	case len(args) == 1 && args[0] == "off" && !moved:
		r.Sources.Undrain()
		return Result{Text: "ok\n"}
	case len(args) > 1 || len(args) == 1 && strings.HasPrefix(args[0], "-"):
		return r.WrongArguments()
	case len(args) == 1:
		server = args[0]
	}
	return Result{Text: fmt.Sprintf("Draining: %d clients are asked to leave.\n", r.Sources.Drain(server, moved))}
}

func help(r *Request) Result {
	if len(r.Args) != 1 {
		return Result{Text: r.registry.usage()}
	}
	h := r.registry.lookup(r.Args[0])
	if h == nil {
		return Result{Text: r.registry.usage(), ExitCode: 1}
	}
	return Result{Text: h.usage()}
}

func node(r *Request) Result {
	switch {
	case slices.Equal(r.Args, []string{"ping"}):
		if !r.Sources.Running() {
			return Result{Text: "starting\n", ExitCode: 1}
		}
		return Result{Text: "pong\n"}
	case slices.Equal(r.Args, []string{"stop"}):
		r.Sources.Stop()
		return Result{Text: "ok\n"}
	}
	return r.WrongArguments()
}

func status(r *Request) Result {
	if len(r.Args) != 0 {
		return r.WrongArguments()
	}
	text := fmt.Sprintf("Node '%s' is started\n", r.Sources.Node)
	if !r.Sources.Running() {
		if at := r.Sources.Recovering(); at != "" {
			text += "emqttd recovers what it has kept: " + at + "\n"
		}
		return Result{Text: text + "emqttd is not running\n", ExitCode: 1}
	}
	text += fmt.Sprintf("emqttd %s is running\n", r.Sources.Version)
	if r.Sources.AllowAnonymous {
		text += "anybody may connect: mqtt.allow_anonymous is true\n"
	}
	return Result{Text: text}
}

func broker(r *Request) Result {
	var b strings.Builder
	switch {
	case len(r.Args) == 0:
		for _, line := range [][2]string{
			{"sysdescr", Sysdescr},
			{"version", r.Sources.Version},
			{"uptime", formatUptime(r.Sources.Uptime())},
			{"datetime", formatTime(time.Now())},
		} {
			fmt.Fprintf(&b, "%-10s: %s\n", line[0], line[1])
		}
	case slices.Equal(r.Args, []string{"stats"}):
		for _, s := range r.Sources.Stats() {
			fmt.Fprintf(&b, "%-20s: %d\n", s.Name, s.Value)
		}
	case slices.Equal(r.Args, []string{"metrics"}):
		metrics := slices.Clone(r.Sources.Metrics())
		slices.SortFunc(metrics, func(a, b Stat) int { return strings.Compare(a.Name, b.Name) })
		for _, s := range metrics {
			fmt.Fprintf(&b, "%-24s: %d\n", s.Name, s.Value)
		}
	default:
		return r.WrongArguments()
	}
	return Result{Text: b.String()}
}

// formatUptime writes a duration as EMQ does: units that are still zero are left out, seconds always stand.
func formatUptime(d time.Duration) string {
	s := int64(d / time.Second)
	parts := []struct {
		n    int64
		unit string
	}{{s / 86400, "days"}, {s / 3600 % 24, "hours"}, {s / 60 % 60, "minutes"}, {s % 60, "seconds"}}
	var out []string
	for i, p := range parts {
		if p.n > 0 || len(out) > 0 || i == len(parts)-1 {
			out = append(out, fmt.Sprintf("%d %s", p.n, p.unit))
		}
	}
	return strings.Join(out, ", ")
}

func formatTime(t time.Time) string { return t.Local().Format(time.DateTime) }

func listeners(r *Request) Result {
	if len(r.Args) == 1 && r.Args[0] == "reload" {
		return changeListener(r, "reload", "")
	}
	if len(r.Args) == 2 {
		return changeListener(r, r.Args[0], r.Args[1])
	}
	if len(r.Args) != 0 {
		return r.WrongArguments()
	}
	return slicePage(r, r.Sources.Listeners(), func(b *strings.Builder, l ListenerInfo) {
		fmt.Fprintf(b, "listener on %s:%s\n", l.Protocol, l.Listen)
		if l.Stopped {
			fmt.Fprintf(b, "  %-16s: %s\n", "status", "stopped")
		}
		fmt.Fprintf(b, "  %-16s: %d\n", "acceptors", l.Acceptors)
		fmt.Fprintf(b, "  %-16s: %d\n", "max_clients", l.MaxClients)
		fmt.Fprintf(b, "  %-16s: %d\n", "current_clients", l.CurrentClients)
		reasons := make([]string, len(l.ShutdownCount))
		for i, s := range l.ShutdownCount {
			reasons[i] = fmt.Sprintf("{%s,%d}", s.Name, s.Value)
		}
		fmt.Fprintf(b, "  %-16s: [%s]\n", "shutdown_count", strings.Join(reasons, ","))
	})
}

// changeListener starts or stops the listener of a name, tcp.external, or of an
// identifier as the list has it, mqtt:tcp:0.0.0.0:1883.
func changeListener(r *Request, verb, which string) Result {
	for _, l := range r.Sources.Listeners() {
		if l.Protocol+":"+l.Listen == which {
			which = l.Name
		}
	}
	var err error
	switch verb {
	case "start":
		err = r.Sources.StartListener(which)
	case "stop":
		err = r.Sources.StopListener(which)
	case "reload":
		err = r.Sources.ReloadListener(which)
	case "restart":
		if err = r.Sources.StopListener(which); err == nil {
			err = r.Sources.StartListener(which)
		}
	default:
		return r.WrongArguments()
	}
	if err != nil {
		return Result{Text: fmt.Sprintf("%s listener %s: %v\n", verb, cmp.Or(which, "all"), err), ExitCode: 1}
	}
	return Result{Text: "ok\n"}
}
