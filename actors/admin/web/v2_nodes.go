package web

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"emqttd/actors/admin"
	"emqttd/actors/system/machine"
)

// perNode answers with what each node says under its name, as EMQ's cluster-wide paths do.
func perNode(path string, get func(*api) any) route {
	return see(path, func(a *api, w http.ResponseWriter, r *http.Request, _ map[string]string) {
		rows := []map[string]any{}
		a.everywhere(r, path, get(a), func(node string, result any) { rows = append(rows, map[string]any{node: result}) })
		writeResult(w, rows)
	})
}

func ofNode(get func(*api) any) serve {
	return func(a *api, w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		writeResult(w, get(a))
	}
}

type nodeRow struct {
	Name       string `json:"name,omitempty"`
	Version    string `json:"version"`
	Sysdescr   string `json:"sysdescr"`
	Uptime     string `json:"uptime"`
	Datetime   string `json:"datetime"`
	OTPRelease string `json:"otp_release"` // what the node runs on: here the release of Go
	NodeStatus string `json:"node_status"`
}

func (a *api) node(name string) nodeRow {
	return nodeRow{
		name, a.src.Version, admin.Sysdescr, admin.FormatUptime(a.src.Uptime()), admin.FormatTime(time.Now()), runtime.Version(), "Running",
	}
}

func (a *api) nodes(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	rows := []any{}
	a.everywhere(r, "management/nodes", a.node(a.src.Node), func(node string, result any) {
		if raw, ok := result.(json.RawMessage); ok {
			var row nodeRow
			if json.Unmarshal(raw, &row) != nil {
				return
			}
			row.Name = node // what a node says of itself alone has none
			result = row
		}
		rows = append(rows, result)
	})
	writeResult(w, rows)
}

func (a *api) oneNode(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, a.node(""))
}

// monitorRow is how a node does. EMQ's processes are actors here.
type monitorRow struct {
	Name             string `json:"name"`
	OTPRelease       string `json:"otp_release"`
	MemoryTotal      string `json:"memory_total"`
	MemoryUsed       string `json:"memory_used"`
	ProcessAvailable int    `json:"process_available"` // there is no limit: the largest number that EMQ's scripts can read
	ProcessUsed      int    `json:"process_used"`
	MaxFDs           uint64 `json:"max_fds"`
	Clients          int64  `json:"clients"`
	NodeStatus       string `json:"node_status"`
	Load1            string `json:"load1"`
	Load5            string `json:"load5"`
	Load15           string `json:"load15"`
}

// stoppedRow is all that is known of a node that is down.
type stoppedRow struct {
	Name       string `json:"name"`
	NodeStatus string `json:"node_status"`
}

// stopped are the names of the members that are down.
func (a *api) stopped() (names []string) {
	if a.src.Cluster == nil {
		return nil
	}
	for _, m := range a.src.Cluster.Members() {
		if m.State == admin.MemberDown {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (a *api) monitor() monitorRow {
	memory := machine.ReadMemory()
	load, _ := machine.Load()
	text := func(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
	return monitorRow{
		Name: a.src.Node, OTPRelease: runtime.Version(),
		MemoryTotal: formatBytes(memory.Total), MemoryUsed: formatBytes(memory.Objects + memory.Stacks + memory.Other),
		ProcessAvailable: math.MaxInt32, ProcessUsed: a.src.Actors(), MaxFDs: machine.MaxFiles(),
		Clients: a.count("clients/count"), NodeStatus: "Running",
		Load1: text(load[0]), Load5: text(load[1]), Load15: text(load[2]),
	}
}

// formatBytes writes a size as EMQ does: two decimals and G, M or K.
func formatBytes(n uint64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}} {
		if float64(n) >= unit.size {
			return fmt.Sprintf("%.2f%s", float64(n)/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.2fK", float64(n)/(1<<10))
}

func (a *api) monitors(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	rows := []any{}
	a.everywhere(r, "monitoring/nodes", a.monitor(), func(_ string, result any) { rows = append(rows, result) })
	for _, name := range a.stopped() {
		rows = append(rows, stoppedRow{name, "Stopped"})
	}
	writeResult(w, rows)
}

func (a *api) oneMonitor(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, a.monitor())
}

type listenerRow struct {
	Protocol       string           `json:"protocol"`
	Listen         string           `json:"listen"`
	Acceptors      int              `json:"acceptors"`
	MaxClients     int              `json:"max_clients"`
	CurrentClients int              `json:"current_clients"`
	ShutdownCount  map[string]int64 `json:"shutdown_count"`
}

func (a *api) listeners() any {
	rows := []listenerRow{}
	for _, l := range a.src.Listeners() {
		rows = append(rows, listenerRow{l.Protocol, l.Listen, l.Acceptors, l.MaxClients, l.CurrentClients, numbers(l.ShutdownCount)})
	}
	return rows
}

func (a *api) metrics() any { return numbers(a.src.Metrics()) }
func (a *api) stats() any   { return numbers(a.src.Stats()) }

func numbers(stats []admin.Stat) map[string]int64 {
	m := make(map[string]int64, len(stats))
	for _, s := range stats {
		m[s.Name] = s.Value
	}
	return m
}

func (a *api) alarms(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	type row struct {
		ID         string `json:"id"`
		Severity   string `json:"severity"`
		Title      string `json:"title"`
		Summary    string `json:"summary"`
		OccurredAt string `json:"occurred_at"`
	}
	rows := []row{}
	for _, x := range a.src.Alarms() {
		rows = append(rows, row{x.ID, x.Severity, x.Title, x.Summary, admin.FormatTime(x.Since)})
	}
	writeResult(w, rows)
}

// configRow is a setting; the third name is EMQ's, mistake included.
type configRow struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	Datatype string `json:"datatpye"`
	App      string `json:"app"`
}

func (a *api) settings() []configRow {
	rows := []configRow{}
	for _, s := range a.src.Settings() {
		rows = append(rows, configRow{s.Key, s.Value, s.Type, "emqttd"})
	}
	return rows
}

func (a *api) configs(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, map[string]any{a.src.Node: a.settings()})
}

func (a *api) configsOf(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, a.settings())
}
