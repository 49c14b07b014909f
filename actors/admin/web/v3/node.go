package v3

import (
	"context"
	"net/http"
	"runtime"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
	"emqttd/actors/system/machine"
)

// node is what a node says of itself.
type node struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Running     bool   `json:"running"`
	Recovering  string `json:"recovering,omitempty" doc:"How far the recovery is while the node starts."`
	Uptime      int64  `json:"uptime" doc:"Seconds."`
	Go          string `json:"go" doc:"What it runs on."`
	Actors      int    `json:"actors"`
	Goroutines  int    `json:"goroutines"`
	MemoryTotal uint64 `json:"memory_total" doc:"Bytes that the process has from the system."`
	MemoryUsed  uint64 `json:"memory_used"`
	MaxFiles    uint64 `json:"max_files" doc:"How many files and sockets it may have open; 0 is without limit."`
	Clients     int64  `json:"clients"`
}

type figures map[string]int64

func numbers(list []admin.Stat) figures {
	f := make(figures, len(list))
	for _, s := range list {
		f[s.Name] = s.Value
	}
	return f
}

// listener is one of the node's listeners.
type listener struct {
	Name           string  `json:"name"`
	Running        bool    `json:"running"`
	Protocol       string  `json:"protocol"`
	Listen         string  `json:"listen"`
	Acceptors      int     `json:"acceptors"`
	MaxClients     int     `json:"max_clients"`
	CurrentClients int     `json:"current_clients"`
	ShutdownCount  figures `json:"shutdown_count" doc:"How many connections ended, by reason."`
}

func (a *api) node() node {
	memory := machine.ReadMemory()
	n := node{
		Name: a.src.Node, Version: a.src.Version, Running: a.src.Running(), Uptime: int64(a.src.Uptime().Seconds()), Go: runtime.Version(),
		Actors: a.src.Actors(), Goroutines: runtime.NumGoroutine(), MemoryTotal: memory.Total,
		MemoryUsed: memory.Objects + memory.Stacks + memory.Other, MaxFiles: machine.MaxFiles(), Clients: numbers(a.src.Stats())["clients/count"],
	}
	if !n.Running {
		n.Recovering = a.src.Recovering()
	}
	return n
}

func (a *api) registerNode() {
	const tag = "node"
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/nodes", "listNodes", "The nodes"),
		func(context.Context, *struct{}) (*body[page[node]], error) { return whole([]node{a.node()}) })
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/nodes/{node}", "getNode", "A node", 404),
		func(_ context.Context, in *struct {
			Node string `path:"node"`
		},
		) (*body[node], error) {
			if in.Node != a.src.Node {
				return nil, huma.Error404NotFound("no such node")
			}
			return answer(a.node())
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/stats", "getStats", "Gauges, by EMQ's names"),
		func(context.Context, *struct{}) (*body[figures], error) { return answer(numbers(a.src.Stats())) })
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/metrics", "getMetrics", "Counters, by EMQ's names"),
		func(context.Context, *struct{}) (*body[figures], error) { return answer(numbers(a.src.Metrics())) })
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/alarms", "listAlarms", "The alarms that are on"),
		func(context.Context, *struct{}) (*body[page[admin.AlarmInfo]], error) { return whole(a.src.Alarms()) })
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/configs", "listSettings", "The configuration that is in force, without secrets"),
		func(context.Context, *struct{}) (*body[page[admin.Setting]], error) { return whole(a.src.Settings()) })
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/listeners", "listListeners", "The listeners"),
		func(context.Context, *struct{}) (*body[page[listener]], error) {
			var rows []listener
			for _, l := range a.src.Listeners() {
				rows = append(rows, listener{
					l.Name, !l.Stopped, l.Protocol, l.Listen, l.Acceptors, l.MaxClients, l.CurrentClients, numbers(l.ShutdownCount),
				})
			}
			return whole(rows)
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodPost, "/listeners/{name}/{action}", "changeListener", "Start or stop a listener; its clients stay", 404, 409),
		a.changeListener)
}

func (a *api) changeListener(_ context.Context, in *struct {
	Name   string `path:"name" doc:"tcp.external"`
	Action string `path:"action" enum:"start,stop,restart,reload"`
},
) (*struct{}, error) {
	found := false
	for _, l := range a.src.Listeners() {
		found = found || l.Name == in.Name
	}
	if !found {
		return nil, huma.Error404NotFound("no such listener")
	}
	if err := a.src.ChangeListener(in.Action, in.Name); err != nil {
		return nil, huma.Error409Conflict(err.Error())
	}
	return nil, nil
}
