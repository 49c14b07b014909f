package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sysdescr is what the broker calls itself.
const Sysdescr = "Go MQTT Broker"

const notFoundText = "Not Found.\n"

func notFound() Result { return Result{Text: notFoundText, ExitCode: ExitFailed} }

func refused(err error) Result {
	return Result{Text: "Error: " + err.Error() + "\n", ExitCode: ExitFailed}
}

// coreHandlers are the commands of the broker itself, in the order in which help lists them.
func coreHandlers() []*Handler {
	all := []*Handler{
		{Name: "status", Run: status, Usage: []Usage{{"status", "Show broker status"}}},
		{Name: "broker", Run: broker, Usage: []Usage{
			{"broker", "Show broker version, uptime and description"},
			{"broker stats", "Show broker statistics of clients, topics, subscribers"},
			{"broker metrics", "Show broker metrics"},
			{"broker pubsub", "Show the topic shards"},
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
		listenersHandler(),
		{Name: "actors", Run: actors, Usage: []Usage{
			{"actors tree [<Name>] [--shape] [--all]", "Show the supervision tree"},

			{"actors top [--once] [--by mailbox|rate] [<N>]", "Show the busiest actors, again and again or once"},
			{"actors show <Name>", "Show an actor"},
			{"actors kill <Name>", "Crash an actor; its supervisor takes over"},
		}},
		storeHandler(),
		confHandler(),
		explainHandler(),
		traceHandler(),
		logHandler(),
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
	return slices.Concat(all, []*Handler{retainerHandler(), pluginsHandler(), clusterHandler()}, vmHandlers(), accessHandlers(), operatorHandlers())
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
		return Result{Text: r.registry.usage(), ExitCode: ExitUsage}
	}
	return Result{Text: h.usage()}
}

func node(r *Request) Result {
	switch {
	case slices.Equal(r.Args, []string{"ping"}):
		if !r.Sources.Running() {
			return Result{Text: "starting\n", ExitCode: ExitFailed}
		}
		return Result{Text: "pong\n"}
	case slices.Equal(r.Args, []string{"stop"}):
		r.Sources.Stop()
		return Result{Text: "ok\n"}
	}
	return r.WrongArguments()
}

// statusInfo is what status tells.
type statusInfo struct {
	Node       string `json:"node"`
	Running    bool   `json:"running"`
	Version    string `json:"version"`
	Recovering string `json:"recovering,omitempty"`
	Anonymous  bool   `json:"allow_anonymous"`
}

func status(r *Request) Result {
	if len(r.Args) != 0 {
		return r.WrongArguments()
	}
	s := statusInfo{Node: r.Sources.Node, Running: r.Sources.Running(), Version: r.Sources.Version, Anonymous: r.Sources.AllowAnonymous()}
	if !s.Running {
		s.Recovering = r.Sources.Recovering()
	}
	res := one(r, s, func(b *strings.Builder, s statusInfo) {
		fmt.Fprintf(b, "Node '%s' is started\n", s.Node)
		if s.Recovering != "" {
			fmt.Fprintf(b, "emqttd recovers what it has kept: %s\n", s.Recovering)
		}
		if !s.Running {
			b.WriteString("emqttd is not running\n")
			return
		}
		fmt.Fprintf(b, "emqttd %s is running\n", s.Version)
		if s.Anonymous {
			b.WriteString("anybody may connect: mqtt.allow_anonymous is true\n")
		}
	})
	if !s.Running {
		res.ExitCode = ExitFailed
	}
	return res
}

// brokerInfo is what broker tells.
type brokerInfo struct {
	Sysdescr string `json:"sysdescr"`
	Version  string `json:"version"`
	Uptime   string `json:"uptime"`
	Datetime string `json:"datetime"`
}

func broker(r *Request) Result {
	switch {
	case len(r.Args) == 0:
		info := brokerInfo{Sysdescr, r.Sources.Version, FormatUptime(r.Sources.Uptime()), FormatTime(time.Now())}
		return one(r, info, func(b *strings.Builder, i brokerInfo) {
			for _, line := range [][2]string{
				{"sysdescr", i.Sysdescr}, {"version", i.Version}, {"uptime", i.Uptime}, {"datetime", i.Datetime},
			} {
				fmt.Fprintf(b, "%-10s: %s\n", line[0], line[1])
			}
		})
	case slices.Equal(r.Args, []string{"stats"}):
		return one(r, Figures(r.Sources.Stats()), figureLines("%-20s: %d\n"))
	case slices.Equal(r.Args, []string{"metrics"}):
		metrics := slices.Clone(r.Sources.Metrics())
		slices.SortFunc(metrics, func(a, b Stat) int { return strings.Compare(a.Name, b.Name) })
		return one(r, Figures(metrics), figureLines("%-24s: %d\n"))
	case slices.Equal(r.Args, []string{"pubsub"}):
		return pubsub(r)
	}
	return r.WrongArguments()
}

func figureLines(format string) func(*strings.Builder, Figures) {
	return func(b *strings.Builder, list Figures) {
		for _, s := range list {
			fmt.Fprintf(b, format, s.Name, s.Value)
		}
	}
}

// pubsub shows the topic shards, which are what EMQ's pubsub workers were.
func pubsub(r *Request) Result {
	shards, ok := r.Sources.Tree(rootID+"/topics", false)
	if !ok {
		return notFound()
	}
	return slicePage(r, shards.Children, func(b *strings.Builder, a Actor) {
		fmt.Fprintf(b, "pubsub: %s\n  %-18s: %d\n  %-18s: %d\n", safe(a.Name), "message_queue_len", a.Mailbox, "restarts", a.Restarts)
	})
}

// FormatUptime writes a duration as EMQ does: units that are still zero are left out, seconds always stand.
func FormatUptime(d time.Duration) string {
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

// FormatTime writes a time as EMQ does: the node's local time, to the second.
func FormatTime(t time.Time) string { return t.Local().Format(time.DateTime) }
