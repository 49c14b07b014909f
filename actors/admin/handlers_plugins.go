package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PluginInfo is a plugin that can be loaded.
type PluginInfo struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Active      bool   `json:"active"`
}

func pluginsHandler() *Handler {
	return &Handler{Name: "plugins", Run: plugins, Usage: []Usage{
		{"plugins list", "Show loaded plugins"},
		{"plugins load <Plugin>", "Load plugin"},
		{"plugins unload <Plugin>", "Unload plugin"},
		{"plugins reload <Plugin>", "Unload a plugin and load it with its settings as they are now"},
	}}
}

func plugins(r *Request) Result {
	switch {
	case slices.Equal(r.Args, []string{"list"}):
		return slicePage(r, r.Sources.Plugins(), pluginLine)
	case len(r.Args) == 2 && slices.Contains([]string{"load", "unload", "reload"}, r.Args[0]):
		return changePlugin(r, r.Args[0], r.Args[1])
	}
	return r.WrongArguments()
}

func pluginLine(b *strings.Builder, p PluginInfo) {
	fmt.Fprintf(b, "Plugin(%s, version=%s, description=%s, active=%t)\n", p.Name, p.Version, p.Description, p.Active)
}

// Refusals of ChangePlugin, in EMQ's words.
var (
	ErrPluginLoaded     = errors.New("already_started")
	ErrPluginNotStarted = errors.New("not_started")
)

// changePlugin uses EMQ's words.
func changePlugin(r *Request, verb, name string) Result {
	if err := r.Sources.ChangePlugin(verb, name); err != nil {
		return Result{Text: fmt.Sprintf("%s plugin error: %s\n", verb, safe(err.Error())), ExitCode: ExitFailed}
	}
	text := fmt.Sprintf("Plugin %s %sed successfully.\n", safe(name), verb)
	if verb == "load" {
		text = fmt.Sprintf("Start apps: [%s]\n", safe(name)) + text
	}
	return Result{Text: text}
}
