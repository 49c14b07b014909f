// Package web is the HTTP API of a node: what listener.api serves. It asks the node through admin.Sources, as the command
// line does.
//
//	/mqtt/publish   of EMQ 2.0 to 2.2, for the users of MQTT
//	/api/v2/…       of EMQ 2.3, with its paths and bodies
//	/api/v3/…       package v3
//	/status         whether the node runs
//	/metrics        for Prometheus
//	/debug/pprof/…  profiles of the process, on its own machine
//
// All but /mqtt/publish is for operators (package operators), each of whom has a role.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
	"emqttd/actors/admin/web/v3"
)

// maxBody bounds the body of a request in bytes. A payload for which it is too small belongs on MQTT.
const maxBody = 1 << 20

// Options are what the HTTP API needs.
type Options struct {
	Sources *admin.Sources
	Logger  *slog.Logger // nil = silent
	// Metrics answers GET /metrics; nil: there is no such path.
	Metrics http.Handler
	// Backoff makes those wait who guess passwords; nil makes one.
	Backoff *access.Backoff
	// Others answer for other nodes; nil: there are none.
	Others Others
	// Routes are the paths of plugins; nil: there are none.
	Routes *Routes
}

// NewServer returns the server of a listener.api; the caller gives it the net.Listener and closes it. Its limits are
// strict: the API is for people and scripts, not for traffic. Servers of one node should share a Backoff.
func NewServer(o Options) *http.Server {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           NewHandler(o),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// NewBackoff makes what slows guessing down: three wrong passwords are free, then each doubles the wait, for the source
// address and for the name. It remembers a bounded number of both.
func NewBackoff() *access.Backoff {
	return access.NewBackoff(access.BackoffOptions{After: 3, First: time.Second, Longest: 5 * time.Minute, Size: 10_000})
}

type api struct {
	src        *admin.Sources
	prometheus http.Handler
	v3         http.Handler
	backoff    *access.Backoff
	others     Others
	extra      *Routes
}

// NewHandler returns the HTTP API. It panics when something of Sources is missing.
func NewHandler(o Options) http.Handler {
	if err := o.Sources.Missing(); err != nil {
		panic(err)
	}
	a := &api{src: o.Sources, prometheus: o.Metrics, v3: v3.New(o.Sources), backoff: o.Backoff, others: o.Others, extra: o.Routes}
	if a.backoff == nil {
		a.backoff = NewBackoff()
	}
	// Browsers send the credentials that they know with whatever a foreign page asks: such requests may not change anything.
	return http.NewCrossOriginProtection().Handler(a)
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	path := r.URL.EscapedPath()
	switch {
	case path == "/status":
		if allow(w, r, http.MethodGet, http.MethodHead) {
			a.status(w)
		}
	case path == "/mqtt/publish":
		if allow(w, r, http.MethodPost) {
			a.publish(w, r)
		}
	case path == "/metrics" && a.prometheus != nil:
		if _, ok := a.admitHere(w, r); ok && allow(w, r, http.MethodGet, http.MethodHead) {
			a.prometheus.ServeHTTP(w, r)
		}
	case strings.HasPrefix(path, profilePrefix):
		a.profile(w, r)
	case strings.HasPrefix(path, "/api/v2/"):
		a.v2(w, r, strings.TrimPrefix(path, "/api/v2/"))
	case strings.HasPrefix(path, v3.Prefix):
		a.serveV3(w, r, strings.TrimPrefix(path, v3.Prefix))
	case path == "/":
		if _, ok := a.admit(w, r); ok && allow(w, r, http.MethodGet, http.MethodHead) {
			writeJSON(w, http.StatusOK, map[string][]string{"paths": paths()})
		}
	default:
		a.plugin(w, r)
	}
}

// plugin answers what is not of the API itself.
func (a *api) plugin(w http.ResponseWriter, r *http.Request) {
	who, ok := a.admit(w, r)
	if !ok {
		return
	}
	h := a.extra.handler(r)
	if h == nil {
		writeFailure(w, http.StatusNotFound, codeUnknown, "no such path")
		return
	}
	if who.Role < operators.Operator && r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeFailure(w, http.StatusForbidden, codeCredentials, "needs the role operator")
		return
	}
	h.ServeHTTP(w, r)
}

// serveV3 lets operators in; on the node's own machine everybody may read what describes the API.
func (a *api) serveV3(w http.ResponseWriter, r *http.Request, rest string) {
	admit := a.admit
	if rest == "openapi.json" || rest == "docs" {
		admit = a.admitHere
	}
	who, ok := admit(w, r)
	if !ok {
		return
	}
	a.v3.ServeHTTP(w, r.WithContext(v3.WithOperator(r.Context(), who)))
}

// admitHere is admit, but lets everybody in as a viewer who asks on the node's own machine without a name.
func (a *api) admitHere(w http.ResponseWriter, r *http.Request) (operators.Who, bool) {
	if r.Header.Get("Authorization") == "" && isHere(r) {
		return operators.Who{Role: operators.Viewer}, true
	}
	return a.admit(w, r)
}

func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeFailure(w, http.StatusMethodNotAllowed, codeUnknown, "method not allowed")
	return false
}

func (a *api) status(w http.ResponseWriter) {
	state, code := "running", http.StatusOK
	if !a.src.Running() {
		state, code = "not_running", http.StatusServiceUnavailable
	}
	writeText(w, code, "Node "+a.src.Node+" is started\nemqttd is "+state)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client is gone; there is nobody to tell
}

// EMQ's codes in the bodies of answers.
const (
	codeOK          = 0
	codeRPC         = 101
	codeUnknown     = 102
	codeCredentials = 103
	codeEmpty       = 104
	codeNoUser      = 105
	codeAdmin       = 106
	codeParams      = 107
	codeParamType   = 108
	codeNotJSON     = 109
	codeNotOnline   = 112
	codeUserExists  = 113
	codeOldPassword = 114
)

func writeResult(w http.ResponseWriter, result any) {
	writeJSON(w, http.StatusOK, struct {
		Code   int `json:"code"`
		Result any `json:"result"`
	}{codeOK, result})
}

func writeFailure(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
}

func writeTooLarge(w http.ResponseWriter) {
	writeFailure(w, http.StatusRequestEntityTooLarge, codeParams, fmt.Sprintf("body larger than %d bytes", maxBody))
}

// tooLarge reports whether reading a body ended at its limit.
func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
