package web

import (
	"net/http"
	"net/http/pprof"
	"strings"

	"emqttd/actors/admin/operators"
)

// profilePrefix is where Go's tools look for profiles.
const profilePrefix = "/debug/pprof/"

// profile answers what go tool pprof and go tool trace ask. A profile tells of everything that the node does, and taking
// one costs: only an administrator gets it, and only on the node's own machine.
func (a *api) profile(w http.ResponseWriter, r *http.Request) {
	who, ok := a.admit(w, r)
	if !ok {
		return
	}
	if who.Role < operators.Admin || !isHere(r) {
		writeFailure(w, http.StatusForbidden, codeCredentials, "needs the role admin, on the node's own machine")
		return
	}
	if !allow(w, r, http.MethodGet) {
		return
	}
	switch strings.TrimPrefix(r.URL.Path, profilePrefix) {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "cmdline", "symbol":
		writeFailure(w, http.StatusNotFound, codeUnknown, "no such path") // nothing that the tools need
	default:
		pprof.Index(w, r)
	}
}
