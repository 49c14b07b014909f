package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"emqttd/actors/admin/operators"
)

// serve answers a request; arg are the parts of its path that have names.
type serve = func(a *api, w http.ResponseWriter, r *http.Request, arg map[string]string)

// action is what one method of a path does, and who may have it done.
type action struct {
	method string
	role   operators.Role
	serve  serve
}

// route is one path of /api/v2. A part in braces takes any value; the last one may take the rest of the path, slashes
// included.
type route struct {
	path    string
	actions []action
}

// see is a path that everybody may look at.
func see(path string, f serve) route {
	return route{path, []action{{http.MethodGet, operators.Viewer, f}}}
}

var routesV2 = []route{
	see("management/nodes", (*api).nodes),
	see("management/nodes/{node}", (*api).oneNode),
	see("monitoring/nodes", (*api).monitors),
	see("monitoring/nodes/{node}", (*api).oneMonitor),
	perNode("monitoring/listeners", (*api).listeners),
	see("monitoring/listeners/{node}", ofNode((*api).listeners)),
	perNode("monitoring/metrics", (*api).metrics),
	see("monitoring/metrics/{node}", ofNode((*api).metrics)),
	perNode("monitoring/stats", (*api).stats),
	see("monitoring/stats/{node}", ofNode((*api).stats)),
	see("nodes/{node}/clients", (*api).clients),
	see("nodes/{node}/clients/{id}", (*api).client),
	{"clients/{id}", []action{
		{http.MethodGet, operators.Viewer, (*api).client},
		{http.MethodDelete, operators.Operator, (*api).kick},
	}},
	{"clients/{id}/clean_acl_cache", []action{{http.MethodPut, operators.Operator, (*api).cleanACLCache}}},
	see("nodes/{node}/sessions", (*api).sessions),
	see("nodes/{node}/sessions/{id}", (*api).session),
	see("sessions/{id}", (*api).session),
	see("nodes/{node}/subscriptions", (*api).subscriptions),
	see("nodes/{node}/subscriptions/{id}", (*api).subscriptionsOf),
	see("subscriptions/{id}", (*api).subscriptionsOf),
	see("routes", (*api).routes),
	see("routes/{topic...}", (*api).routesOf),
	{"mqtt/publish", []action{{http.MethodPost, operators.Operator, (*api).publishV2}}},
	{"mqtt/subscribe", []action{{http.MethodPost, operators.Operator, (*api).subscribe}}},
	{"mqtt/unsubscribe", []action{{http.MethodPost, operators.Operator, (*api).unsubscribe}}},
	see("nodes/{node}/alarms", (*api).alarms),
	see("nodes/{node}/plugins", (*api).plugins),
	{"nodes/{node}/plugins/{name}", []action{{http.MethodPut, operators.Admin, (*api).changePlugin}}},
	see("configs", (*api).configs),
	see("nodes/{node}/configs", (*api).configsOf),
	{"configs/{app}", []action{{http.MethodPut, operators.Admin, (*api).changeConfig}}},
	{"nodes/{node}/configs/{app}", []action{{http.MethodPut, operators.Admin, (*api).changeConfig}}},
	{"users", []action{
		{http.MethodGet, operators.Admin, (*api).users},
		{http.MethodPost, operators.Admin, (*api).addUser},
	}},
	{"users/{name}", []action{
		{http.MethodGet, operators.Admin, (*api).user},
		{http.MethodPut, operators.Admin, (*api).tagUser},
		{http.MethodDelete, operators.Admin, (*api).removeUser},
	}},
	// Whoever knows the old password may change it, whatever his role.
	{"change_pwd/{name}", []action{{http.MethodPut, operators.Viewer, (*api).changePassword}}},
}

// authPath asks whether a password is right: it needs no other.
const authPath = "auth"

// paths lists what there is, as EMQ's root path does.
func paths() []string {
	out := []string{"status", "mqtt/publish", "api/v2/" + authPath, "api/v3/openapi.json"}
	for _, r := range routesV2 {
		out = append(out, "api/v2/"+strings.ReplaceAll(r.path, "...", ""))
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

// v2 finds who asks, and what for. What EMQ answers with 200 and a code because it cannot be done is answered so; what is
// asked the wrong way, or by the wrong one, has a status that says so as well.
func (a *api) v2(w http.ResponseWriter, r *http.Request, escaped string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if escaped == authPath {
		if allow(w, r, http.MethodPost) {
			a.auth(w, r)
		}
		return
	}
	who, ok := a.admit(w, r)
	if !ok {
		return
	}
	a.route(w, r, who, escaped)
}

// route answers somebody who was let in.
func (a *api) route(w http.ResponseWriter, r *http.Request, who operators.Who, escaped string) {
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
		rt := &routesV2[i]
		if arg, ok := rt.match(parts); ok {
			a.act(w, r, who, rt, arg)
			return
		}
	}
	writeFailure(w, http.StatusNotFound, codeUnknown, "no such path")
}

func (a *api) act(w http.ResponseWriter, r *http.Request, who operators.Who, rt *route, arg map[string]string) {
	i := slices.IndexFunc(rt.actions, func(x action) bool { return x.method == r.Method })
	if i < 0 {
		methods := make([]string, len(rt.actions))
		for i, x := range rt.actions {
			methods[i] = x.method
		}
		allow(w, r, methods...)
		return
	}
	if who.Role < rt.actions[i].role {
		writeFailure(w, http.StatusForbidden, codeCredentials, fmt.Sprintf("%s needs the role %s", rt.path, rt.actions[i].role))
		return
	}
	if node, given := arg["node"]; given && node != a.src.Node {
		a.relay(w, r, who, node)
		return
	}
	rt.actions[i].serve(a, w, r, arg)
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

// read reads a JSON object into the fields that into points to, of which those named must be there; it answers the
// request if it is not as wanted. Fields that nobody knows are passed over, as EMQ does.
func read(w http.ResponseWriter, r *http.Request, into any, required ...string) bool {
	var body map[string]json.RawMessage
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case tooLarge(err):
		writeTooLarge(w)
		return false
	case err != nil || body == nil:
		writeFailure(w, http.StatusBadRequest, codeNotJSON, "Body not json")
		return false
	}
	for _, name := range required {
		if _, given := body[name]; !given {
			writeFailure(w, http.StatusBadRequest, codeParams, "params error: "+name+" is missing")
			return false
		}
	}
	whole, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(whole, into)
	}
	if err != nil {
		writeFailure(w, http.StatusBadRequest, codeParamType, "params type error")
		return false
	}
	return true
}
