package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"emqttd/actors/admin"
)

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
	writePage(w, r, a.count("clients/count"), a.src.SeekClients, a.src.Clients, newClientRow)
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
	writePage(w, r, a.count("sessions/count"), a.src.SeekSessions, func(cursor string, limit int) ([]admin.SessionInfo, string) {
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
	writePage(w, r, a.count("subscriptions/count"), a.src.SeekSubscriptions, a.src.Subscriptions, newSubscriptionRow)
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
	writePage(w, r, a.count("routes/count"), nil, a.src.Routes, newRouteRow)
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

// writePage answers with one page of a list. The source goes by cursors and EMQ by page numbers: seek, if there is one,
// jumps to a place before the page, and what is left is walked over, in constant memory.
func writePage[T, Row any](w http.ResponseWriter, r *http.Request, total int64, seek func(row int) (cursor string, behind int),
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
	cursor, skip := "", (number-1)*size
	if int64(skip) > total {
		skip = int(total) + size // there is no such page; do not walk for it
	}
	if seek != nil {
		behind := 0
		cursor, behind = seek(skip)
		skip -= behind
	}
	for skip >= 0 {
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
