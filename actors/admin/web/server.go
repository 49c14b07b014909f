// Package web is the HTTP API of a node: what listener.api serves. It asks the node through admin.Sources, as the command
// line does.
package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"emqttd/actors/admin"
)

// maxBody bounds the body of a request in bytes. A payload for which it is too small belongs on MQTT.
const maxBody = 1 << 20

// Options are what the HTTP API needs.
type Options struct {
	Sources *admin.Sources
	Logger  *slog.Logger // nil = silent
	// Metrics answers GET /metrics; nil: there is no such path.
	Metrics http.Handler
}

// NewServer returns the server of a listener.api; the caller gives it the net.Listener and closes it. Its limits are
// strict: the API is for people and scripts, not for traffic.
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

// api is the HTTP API. With mqtt.allow_anonymous it trusts the loopback interface, so it must make sure that what comes
// is no web page that a browser on this machine shows: those have a foreign Host or Origin.
type api struct {
	src        *admin.Sources
	prometheus http.Handler
}

// NewHandler returns the HTTP API: POST /mqtt/publish and GET /status as EMQ 2.0 – 2.2 had them, what can be read of
// EMQ 2.3's /api/v2, with its paths and bodies, and below /api/v3 what manages access. It panics when something of src is
// missing.
//
// Unlike EMQ, errors have the status code that they deserve, besides the code in their body.
func NewHandler(o Options) http.Handler {
	if err := o.Sources.Missing(); err != nil {
		panic(err)
	}
	return http.NewCrossOriginProtection().Handler(&api{src: o.Sources, prometheus: o.Metrics})
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if !localHost(r.Host) {
		writeFailure(w, http.StatusForbidden, codeUnknown, "host not allowed")
		return
	}
	path := r.URL.EscapedPath()
	switch strings.TrimSuffix(path, "/") {
	case "":
		if allow(w, r, http.MethodGet, http.MethodHead) {
			writeJSON(w, http.StatusOK, map[string][]string{"paths": paths()})
		}
		return
	case "/metrics":
		if a.prometheus != nil {
			a.scrape(w, r)
			return
		}
	case "/status":
		if allow(w, r, http.MethodGet, http.MethodHead) {
			a.status(w)
		}
		return
	}
	v, ok := a.authenticate(w, r)
	if !ok {
		return
	}
	if path == "/mqtt/publish" {
		if allow(w, r, http.MethodPost) {
			a.publish(w, r, v)
		}
		return
	}
	rest, isV2 := strings.CutPrefix(path, "/api/v2/")
	if isV2 && !isCleanACLCache(r, rest) {
		a.v2(w, r, rest)
		return
	}
	isV3 := isV2
	if !isV2 {
		rest, isV3 = strings.CutPrefix(path, "/api/v3/")
	}
	if isV3 {
		if !v.isOperator() {
			forbid(w, "only super-users may do that")
			return
		}
		a.v3(w, r, rest)
		return
	}
	writeFailure(w, http.StatusNotFound, codeUnknown, "no such path")
}

// localHost refuses names: a page from elsewhere reaches us under its own name after DNS rebinding, an operator uses an
// address or localhost.
func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
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

// scrape needs no user on this machine, from elsewhere it does.
func (a *api) scrape(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	if !fromLoopback(r) {
		if _, ok := a.authenticate(w, r); !ok {
			return
		}
	}
	a.prometheus.ServeHTTP(w, r)
}

func fromLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
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
	codeParams      = 107
	codeParamType   = 108
	codeNotJSON     = 109
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

// segments splits an escaped path and decodes each part, so that an escaped slash stays inside its part.
func segments(escaped string) ([]string, error) {
	parts := strings.Split(escaped, "/")
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return nil, err
		}
		parts[i] = decoded
	}
	return parts, nil
}

// tooLarge reports whether reading a body ended at its limit.
func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
