package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin"
)

// routeV3 is one path of /api/v3 and what its methods do. All of it is for operators only.
type routeV3 struct {
	route
	methods map[string]func(a *api, w http.ResponseWriter, r *http.Request, arg map[string]string)
}

type serveV3 = map[string]func(a *api, w http.ResponseWriter, r *http.Request, arg map[string]string)

var routesV3 = []routeV3{
	{route{path: "users"}, accountsV3((*access.Chain).Users)},
	{route{path: "users/{name...}"}, accountV3((*access.Chain).Users)},
	{route{path: "clientids"}, accountsV3((*access.Chain).Clients)},
	{route{path: "clientids/{name...}"}, accountV3((*access.Chain).Clients)},
	{route{path: "banned"}, serveV3{http.MethodGet: (*api).listBans, http.MethodPost: (*api).addBan}},
	{route{path: "banned/{kind}/{who...}"}, serveV3{http.MethodDelete: (*api).removeBan}},
	{route{path: "access/test"}, serveV3{http.MethodPost: (*api).testAccess}},
	{route{path: "access/stats"}, serveV3{http.MethodGet: (*api).accessStats}},
	{route{path: "acl/reload"}, serveV3{http.MethodPut: (*api).reloadACL}},
	{route{path: "clients/{id}/clean_acl_cache"}, serveV3{http.MethodPut: (*api).cleanACLCache}},
}

func (a *api) v3(w http.ResponseWriter, r *http.Request, escaped string) {
	parts, err := segments(escaped)
	if err != nil {
		writeFailure(w, http.StatusBadRequest, codeParams, "bad escape in the path")
		return
	}
	for i := range routesV3 {
		rt := &routesV3[i]
		arg, ok := rt.match(parts)
		if !ok {
			continue
		}
		serve := rt.methods[r.Method]
		if serve == nil {
			methods := make([]string, 0, len(rt.methods))
			for m := range rt.methods {
				methods = append(methods, m)
			}
			slices.Sort(methods)
			allow(w, r, methods...)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		ctx, cancel := context.WithTimeout(r.Context(), admin.AccessTime)
		defer cancel()
		serve(a, w, r.WithContext(ctx), arg)
		return
	}
	writeFailure(w, http.StatusNotFound, codeUnknown, "no such path")
}

// readJSON reads the body; it answers the request if that is not what is wanted.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	switch err := d.Decode(into); {
	case tooLarge(err):
		writeFailure(w, http.StatusRequestEntityTooLarge, codeParams, fmt.Sprintf("body larger than %d bytes", maxBody))
	case err != nil:
		writeFailure(w, http.StatusBadRequest, codeNotJSON, "body not as expected: "+err.Error())
	default:
		return true
	}
	return false
}

type accountRow struct {
	Name      string `json:"name"`
	Superuser bool   `json:"superuser"`
}

type accountBody struct {
	Name      string `json:"name"`
	Password  string `json:"password"`
	Superuser bool   `json:"superuser"`
}

// accountsV3 lists accounts, and makes them.
func accountsV3(of func(*access.Chain) *access.Accounts) serveV3 {
	return serveV3{
		http.MethodGet: func(a *api, w http.ResponseWriter, _ *http.Request, _ map[string]string) {
			rows := []accountRow{}
			for _, x := range of(a.src.Access).List() {
				rows = append(rows, accountRow(x))
			}
			writeObjects(w, rows)
		},
		http.MethodPost: func(a *api, w http.ResponseWriter, r *http.Request, _ map[string]string) {
			var b accountBody
			if !readJSON(w, r, &b) {
				return
			}
			err := of(a.src.Access).Add(r.Context(), b.Name, []byte(b.Password), b.Superuser)
			if errors.Is(err, access.ErrExists) {
				writeFailure(w, http.StatusConflict, codeParams, "it exists already")
				return
			}
			writeChange(w, http.StatusCreated, err)
		},
	}
}

// accountV3 replaces an account, and deletes it.
func accountV3(of func(*access.Chain) *access.Accounts) serveV3 {
	return serveV3{
		http.MethodPut: func(a *api, w http.ResponseWriter, r *http.Request, arg map[string]string) {
			b := accountBody{Name: arg["name"]}
			if !readJSON(w, r, &b) {
				return
			}
			if b.Name != arg["name"] {
				writeFailure(w, http.StatusBadRequest, codeParams, "an account cannot be renamed")
				return
			}
			writeChange(w, http.StatusOK, of(a.src.Access).Set(r.Context(), b.Name, []byte(b.Password), b.Superuser))
		},
		http.MethodDelete: func(a *api, w http.ResponseWriter, _ *http.Request, arg map[string]string) {
			found, err := of(a.src.Access).Delete(arg["name"])
			writeRemoval(w, found, err)
		},
	}
}

// writeChange answers a change; what is wrong with it is the caller's mistake unless the store is.
func writeChange(w http.ResponseWriter, status int, err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		writeFailure(w, http.StatusServiceUnavailable, codeUnknown, "it took too long")
	case err != nil:
		writeFailure(w, http.StatusBadRequest, codeParams, err.Error())
	default:
		writeJSON(w, status, map[string]any{"code": codeOK, "result": []string{}})
	}
}

func writeRemoval(w http.ResponseWriter, found bool, err error) {
	switch {
	case err != nil:
		writeFailure(w, http.StatusServiceUnavailable, codeUnknown, err.Error())
	case !found:
		writeFailure(w, http.StatusNotFound, codeParams, "not found")
	default:
		writeResult(w, []string{})
	}
}

type banRow struct {
	Kind   access.BanKind `json:"kind"`
	Who    string         `json:"who"`
	Until  *time.Time     `json:"until"` // null is for ever
	Reason string         `json:"reason"`
	By     string         `json:"by"`
	At     time.Time      `json:"at"`
}

func (a *api) listBans(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	rows := []banRow{}
	for _, x := range a.src.Access.Bans().List() {
		row := banRow{Kind: x.Kind, Who: x.Who, Reason: x.Reason, By: x.By, At: x.At.UTC()}
		if !x.Until.IsZero() {
			until := x.Until.UTC()
			row.Until = &until
		}
		rows = append(rows, row)
	}
	writeObjects(w, rows)
}

func (a *api) addBan(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	var b struct {
		Kind    access.BanKind `json:"kind"`
		Who     string         `json:"who"`
		Seconds float64        `json:"seconds"` // 0 is for ever
		Reason  string         `json:"reason"`
	}
	if !readJSON(w, r, &b) {
		return
	}
	const longest = 100 * 365 * 24 * 3600 // what a Duration can hold
	if b.Seconds < 0 || b.Seconds > longest {
		writeFailure(w, http.StatusBadRequest, codeParams, "seconds: from 0, which is for ever, to a hundred years")
		return
	}
	user, _, _ := r.BasicAuth()
	ban := access.Ban{Kind: b.Kind, Who: b.Who, Reason: b.Reason, By: orDefault(user, "http")}
	if b.Seconds > 0 {
		ban.Until = time.Now().Add(time.Duration(b.Seconds * float64(time.Second)))
	}
	writeChange(w, http.StatusCreated, a.src.Access.Bans().Add(ban))
}

func (a *api) removeBan(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	found, err := a.src.Access.Bans().Remove(access.BanKind(arg["kind"]), arg["who"])
	writeRemoval(w, found, err)
}

type accessModuleRow struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Why     string `json:"why"`
}

type accessTopicRow struct {
	Action string `json:"action"`
	Topic  string `json:"topic"`
	Allow  bool   `json:"allow"`
	Why    string `json:"why"`
}

type accessReport struct {
	Decision  string            `json:"decision"`
	Why       string            `json:"why"`
	Username  string            `json:"username"`
	Superuser bool              `json:"superuser"`
	Modules   []accessModuleRow `json:"modules"`
	Topics    []accessTopicRow  `json:"topics"`
}

// testAccess is `access test`. What is denied is no error: the answer is 200.
func (a *api) testAccess(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	var b struct {
		ClientID  string   `json:"clientid"`
		Username  string   `json:"username"`
		Password  *string  `json:"password"`
		Peer      string   `json:"peer"`
		Publish   []string `json:"publish"`
		Subscribe []string `json:"subscribe"`
	}
	if !readJSON(w, r, &b) {
		return
	}
	cred := access.Credentials{ClientID: b.ClientID, Username: b.Username, Peer: b.Peer, Protocol: "mqtt"}
	if b.Password != nil {
		cred.Password = []byte(*b.Password)
	}
	report := a.src.Access.Test(r.Context(), &cred, b.Publish, b.Subscribe)
	out := accessReport{
		Decision: report.Decision.String(), Why: report.Why, Username: report.Username, Superuser: report.Superuser,
		Modules: []accessModuleRow{}, Topics: []accessTopicRow{},
	}
	for _, m := range report.Modules {
		row := accessModuleRow{m.Name, m.Verdict.String(), m.Why}
		if m.Err != nil {
			row.Verdict, row.Why = "error", m.Err.Error()
		}
		out.Modules = append(out.Modules, row)
	}
	for _, t := range report.Topics {
		if t.Err != nil {
			t.Why = t.Err.Error()
		}
		out.Topics = append(out.Topics, accessTopicRow{t.Action.String(), t.Topic, t.Allow, t.Why})
	}
	writeResult(w, out)
}

func (a *api) accessStats(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	rows := []map[string]any{}
	for _, s := range a.src.Access.Stats() {
		rows = append(rows, map[string]any{
			"name": s.Name, "ok": s.OK, "denied": s.Denied, "ignored": s.Ignored, "errors": s.Errors, "timeouts": s.Timeouts,
			"rejected": s.Rejected, "open": s.Open, "calls": s.Calls, "breaker": s.Breaker,
		})
	}
	writeObjects(w, rows)
}

func (a *api) reloadACL(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeChange(w, http.StatusOK, a.src.Access.ReloadACL())
}

// cleanACLCache forgets all that is kept about the rights of a client. EMQ wants a topic in the body and forgets that
// one; here the body is not looked at.
func (a *api) cleanACLCache(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	writeRemoval(w, a.src.CleanACLCache(arg["id"]), nil)
}

// isCleanACLCache tells whether a path below /api/v2 is the one that EMQ has for it.
func isCleanACLCache(r *http.Request, rest string) bool {
	return r.Method == http.MethodPut && strings.HasPrefix(rest, "clients/") && strings.HasSuffix(rest, "/clean_acl_cache")
}
