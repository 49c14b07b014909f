package web

import (
	"errors"
	"net/http"

	"emqttd/actors/admin"
)

// The codes of EMQ for plugins that are as they are to become.
const (
	codePluginLoaded     = 110
	codePluginNotStarted = 111
)

func (a *api) plugins(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeResult(w, a.src.Plugins())
}

// changePlugin loads or unloads one.
func (a *api) changePlugin(w http.ResponseWriter, r *http.Request, arg map[string]string) {
	var body struct {
		Active bool `json:"active"`
	}
	if !read(w, r, &body, "active") {
		return
	}
	verb := "unload"
	if body.Active {
		verb = "load"
	}
	switch err := a.src.ChangePlugin(verb, arg["name"]); {
	case err == nil:
		writeResult(w, nothing)
	case errors.Is(err, admin.ErrPluginLoaded):
		cannot(w, codePluginLoaded, err.Error())
	case errors.Is(err, admin.ErrPluginNotStarted):
		cannot(w, codePluginNotStarted, err.Error())
	default:
		cannot(w, codeUnknown, err.Error())
	}
}
