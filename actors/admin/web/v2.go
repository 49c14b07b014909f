package web

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"emqttd/actors/admin"
)

// route is one path of /api/v2. A part in braces takes any value; the last one may take the rest of the path, slashes
// included.
type route struct {
	path  string
	serve func(a *api, w http.ResponseWriter, r *http.Request, arg map[string]string)
}

var routesV2 = []route{
	{"management/nodes", (*api).nodes},
	{"management/nodes/{node}", (*api).oneNode},
	{"monitoring/listeners", perNode((*api).listeners)},
	{"monitoring/listeners/{node}", ofNode((*api).listeners)},
	{"monitoring/metrics", perNode((*api).metrics)},
	{"monitoring/metrics/{node}", ofNode((*api).metrics)},
	{"monitoring/stats", perNode((*api).stats)},
	{"monitoring/stats/{node}", ofNode((*api).stats)},
	{"nodes/{node}/clients", (*api).clients},
	{"nodes/{node}/clients/{id}", (*api).client},
	{"clients/{id}", (*api).client},
	{"nodes/{node}/sessions", (*api).sessions},
	{"nodes/{node}/sessions/{id}", (*api).session},
	{"sessions/{id}", (*api).session},
	{"nodes/{node}/subscriptions", (*api).subscriptions},
	{"nodes/{node}/subscriptions/{id}", (*api).subscriptionsOf},
	{"subscriptions/{id}", (*api).subscriptionsOf},
	{"routes", (*api).routes},
	{"routes/{topic...}", (*api).routesOf},
}

// paths lists what there is, as EMQ's root path does.
func paths() []string {
	out := []string{"status", "mqtt/publish"}
	for _, r := range routesV2 {
		out = append(out, "api/v2/"+strings.ReplaceAll(r.path, "...", ""))
	}
	out = append(out, "api/v2/clients/{id}/clean_acl_cache")
	for _, r := range routesV3 {
		out = append(out, "api/v3/"+strings.ReplaceAll(r.path, "...", ""))
	}
	return out
}

// match compares the decoded segments of a path with the route's.
func (rt *route) match(parts []string) (map[string]string, bool) {
	want := strings.Split(rt.path, "/")
	arg := map[string]string{}
	for i, w := range want {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(w, "{"), "...}"); ok {
			if len(parts) <= i {
				return nil, false
			}
			arg[name] = strings.Join(parts[i:], "/")
			return arg, true
		}
		switch {
		case i >= len(parts):
			return nil, false
		case strings.HasPrefix(w, "{"):
			arg[strings.Trim(w, "{}")] = parts[i]
		case w != parts[i]:
			return nil, false
		}
	}
	return arg, len(parts) == len(want)
}

func (a *api) v2(w http.ResponseWriter, r *http.Request, escaped string) {
	parts, err := segments(escaped)
	if err != nil {
		writeFailure(w, http.StatusBadRequest, codeParams, "bad escape in the path")
		return
	}
	// A trailing slash is allowed, except that in a topic it is a level.
	if n := len(parts); n > 1 && parts[n-1] == "" && (parts[0] != "routes" || n == 2) {
		parts = parts[:n-1]
	}
	for i := range routesV2 {
		arg, ok := routesV2[i].match(parts)
		if !ok {
			continue
		}
		if !allow(w, r, http.MethodGet) {
			return
		}
		if node, given := arg["node"]; given && node != a.src.Node {
			writeFailure(w, http.StatusNotFound, codeRPC, "no such node")
			return
		}
		routesV2[i].serve(a, w, r, arg)
		return
	}
	writeFailure(w, http.StatusNotFound, codeUnknown, "no such path")
}

// perNode answers with what the one node says under its name, as EMQ's cluster-wide paths do.
func perNode(get func(*api) any) func(*api, http.ResponseWriter, *http.Request, map[string]string) {
	return func(a *api, w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		writeResult(w, []map[string]any{{a.src.Node: get(a)}})
	}
}

func ofNode(get func(*api) any) func(*api, http.ResponseWriter, *http.Request, map[string]string) {
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

func (a *api) nodes(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, []nodeRow{a.node(a.src.Node)})
}

func (a *api) oneNode(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, a.node(""))
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

type clientRow struct {
	ClientID     string `json:"client_id"`
	Username     string `json:"username"`
	IPAddress    string `json:"ipaddress"`
	Port         int    `json:"port"`
	CleanSession bool   `json:"clean_sess"`
	ProtoVersion byte   `json:"proto_ver"`
	KeepAlive    int    `json:"keepalive"`
	ConnectedAt  string `json:"connected_at"`
}

func newClientRow(c admin.ClientInfo) clientRow {
	return clientRow{
		c.ID, admin.OrUndefined(c.Username), c.IP, c.Port, c.CleanSession, c.ProtoVersion, c.KeepAlive, admin.FormatTime(c.ConnectedAt),
	}
}

func (a *api) clients(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	writePage(w, r, a.count("clients/count"), a.src.Clients, newClientRow)
}

func (a *api) client(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	rows := []clientRow{}
	if c, ok := a.src.Client(arg["id"]); ok {
		rows = append(rows, newClientRow(c))
	}
	writeObjects(w, rows)
}

type sessionRow struct {
	ClientID      string `json:"client_id"`
	CleanSession  bool   `json:"clean_sess"`
	Subscriptions int    `json:"subscriptions"`
	MaxInflight   int    `json:"max_inflight"`
	Inflight      int    `json:"inflight_len"`
	QueueLen      int    `json:"mqueue_len"`
	QueueDropped  uint64 `json:"mqueue_dropped"`
	AwaitingRel   int    `json:"awaiting_rel_len"`
	Delivered     uint64 `json:"deliver_msg"`
	Enqueued      uint64 `json:"enqueue_msg"`
	CreatedAt     string `json:"created_at"`
}

func newSessionRow(s admin.SessionInfo) sessionRow {
	return sessionRow{
		s.ClientID, s.CleanSession, s.Subscriptions, s.MaxInflight, s.Inflight, s.QueueLen, s.QueueDropped,
		s.AwaitingRel, s.Delivered, s.Enqueued, admin.FormatTime(s.CreatedAt),
	}
}

func (a *api) sessions(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	writePage(w, r, a.count("sessions/count"), func(cursor string, limit int) ([]admin.SessionInfo, string) {
		return a.src.Sessions(admin.AllSessions, cursor, limit)
	}, newSessionRow)
}

func (a *api) session(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	rows := []sessionRow{}
	if s, ok := a.src.Session(arg["id"]); ok {
		rows = append(rows, newSessionRow(s))
	}
	writeObjects(w, rows)
}

type subscriptionRow struct {
	ClientID string `json:"client_id"`
	Topic    string `json:"topic"`
	QoS      byte   `json:"qos"`
}

func newSubscriptionRow(s admin.SubscriptionInfo) subscriptionRow {
	return subscriptionRow{s.ClientID, s.Topic, s.QoS}
}

func (a *api) subscriptions(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	writePage(w, r, a.count("subscriptions/count"), a.src.Subscriptions, newSubscriptionRow)
}

func (a *api) subscriptionsOf(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	rows := []subscriptionRow{}
	all, _ := a.src.SubscriptionsOf(arg["id"])
	for _, s := range all {
		rows = append(rows, newSubscriptionRow(s))
	}
	writeObjects(w, rows)
}

type routeRow struct {
	Topic string `json:"topic"`
	Node  string `json:"node"`
}

func newRouteRow(r admin.RouteInfo) routeRow { return routeRow(r) }

func (a *api) routes(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	writePage(w, r, a.count("routes/count"), a.src.Routes, newRouteRow)
}

func (a *api) routesOf(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	rows := []routeRow{}
	for _, r := range a.src.Route(arg["topic"]) {
		rows = append(rows, newRouteRow(r))
	}
	writeObjects(w, rows)
}

func (a *api) count(stat string) int64 {
	stats := a.src.Stats()
	if i := slices.IndexFunc(stats, func(s admin.Stat) bool { return s.Name == stat }); i >= 0 {
		return stats[i].Value
	}
	return 0
}

func writeObjects[Row any](w http.ResponseWriter, rows []Row) {
	writeResult(w, struct {
		Objects []Row `json:"objects"`
	}{rows})
}

const (
	defaultPageSize = 20
	maxPageSize     = 1000
	walkRows        = 1000 // rows skipped at one time on the way to a page
)

// writePage answers with one page of a list. The source goes by cursors and EMQ by page numbers, so the pages before
// are walked over, in constant memory.
func writePage[T, Row any](w http.ResponseWriter, r *http.Request, total int64,
	list func(cursor string, limit int) ([]T, string), row func(T) Row,
) {
	number, ok1 := positive(r, "curr_page", 1, 1<<31-1)
	size, ok2 := positive(r, "page_size", defaultPageSize, maxPageSize)
	if !ok1 || !ok2 {
		writeFailure(w, http.StatusBadRequest, codeParamType,
			fmt.Sprintf("curr_page and page_size are numbers from 1; page_size at most %d", maxPageSize))
		return
	}
	rows := make([]Row, 0, size)
	cursor := ""
	for skip := (number - 1) * size; skip >= 0; {
		if r.Context().Err() != nil {
			return // nobody waits for it any more
		}
		want := size - len(rows)
		if skip > 0 {
			want = min(skip, walkRows)
		}
		page, next := list(cursor, want)
		if skip > 0 {
			skip -= len(page)
		} else {
			for _, v := range page {
				rows = append(rows, row(v))
			}
		}
		if cursor = next; cursor == "" || len(rows) == size {
			break
		}
	}
	writeResult(w, struct {
		CurrentPage int   `json:"current_page"`
		PageSize    int   `json:"page_size"`
		TotalNum    int64 `json:"total_num"`
		TotalPage   int64 `json:"total_page"`
		Objects     []Row `json:"objects"`
	}{number, size, total, (total + int64(size) - 1) / int64(size), rows})
}

func positive(r *http.Request, name string, otherwise, limit int) (int, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= limit
}
