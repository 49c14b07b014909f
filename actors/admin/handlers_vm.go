package admin

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"emqttd/actors/configuration"
	"emqttd/actors/system/machine"
)

func vmHandlers() []*Handler {
	return []*Handler{
		{Name: "vm", Run: vm, Usage: []Usage{
			{"vm all", "Show all that follows"},
			{"vm load", "Show the load of the machine"},
			{"vm memory", "Show the memory of the process"},
			{"vm process", "Show the number of actors and goroutines"},
			{"vm io", "Show open files and sockets"},
			{"vm ports", "Show the number of connections"},
		}},
		{Name: "mnesia", Run: mnesia, Usage: []Usage{{"mnesia", "Show the sizes of tables and of the store"}}},
		{Name: "show", Run: show, Usage: []Usage{{"show [<Key>] [--app=<App>]", "Show the configuration that is in force, or a key of it"}}},
		{Name: "set", Run: set, Usage: []Usage{{"set <Key>=<Value> [--app=emqttd]", "Write a key into its file, and reload, as conf set does"}}},
	}
}

// vmLine is one figure of vm. Text is for what is no number.
type vmLine struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// vmPart is one command of vm; EMQ pads the names of each by another width.
type vmPart struct {
	name  string
	width int
	lines func(*Sources) []vmLine
}

var vmParts = []vmPart{
	{"load", 24, vmLoad},
	{"memory", 24, vmMemory},
	{"process", 24, vmProcess},
	{"io", 24, vmIO},
	{"ports", 22, vmPorts},
}

func vm(r *Request) Result {
	parts := vmParts
	switch {
	case len(r.Args) > 1:
		return r.WrongArguments()
	case len(r.Args) == 1 && r.Args[0] != "all":
		i := slices.IndexFunc(vmParts, func(p vmPart) bool { return p.name == r.Args[0] })
		if i < 0 {
			return r.WrongArguments()
		}
		parts = vmParts[i : i+1]
	}
	var b strings.Builder
	for _, p := range parts {
		for _, l := range p.lines(r.Sources) {
			if r.JSON {
				writeJSON(&b, l)
			} else {
				fmt.Fprintf(&b, "%-*s: %v\n", p.width, l.Name, l.Value)
			}
		}
	}
	return Result{Text: b.String(), formatted: true}
}

func vmLoad(*Sources) []vmLine {
	load, ok := machine.Load()
	lines := []vmLine{{"cpu/load1", load[0]}, {"cpu/load5", load[1]}, {"cpu/load15", load[2]}}
	if !ok {
		for i := range lines {
			lines[i].Value = "undefined"
		}
	}
	return lines
}

func vmMemory(*Sources) []vmLine {
	m := machine.ReadMemory()
	return []vmLine{
		{"memory/total", m.Total},
		{"memory/objects", m.Objects},
		{"memory/stacks", m.Stacks},
		{"memory/free", m.Free},
		{"memory/released", m.Released},
		{"memory/other", m.Other},
	}
}

func vmProcess(s *Sources) []vmLine {
	return []vmLine{{"process/limit", "unlimited"}, {"process/count", s.Actors()}, {"process/goroutines", runtime.NumGoroutine()}}
}

func vmIO(*Sources) []vmLine {
	return []vmLine{{"io/max_fds", unlimited(machine.MaxFiles())}, {"io/active_fds", machine.OpenFiles()}}
}

func vmPorts(s *Sources) []vmLine {
	open := 0
	for _, l := range s.Listeners() {
		open += l.CurrentClients
	}
	return []vmLine{{"ports/count", open}, {"ports/limit", unlimited(machine.MaxFiles())}}
}

func unlimited(n uint64) any {
	if n == 0 {
		return "unlimited"
	}
	return n
}

// mnesia shows what stands in the place of EMQ's data base.
func mnesia(r *Request) Result {
	if len(r.Args) != 0 {
		return r.WrongArguments()
	}
	list := Figures{}
	for _, s := range r.Sources.Stats() {
		if name, ok := strings.CutSuffix(s.Name, "/count"); ok {
			list = append(list, Stat{Name: "table/" + name, Value: s.Value})
		}
	}
	for _, s := range r.Sources.StoreStats() {
		list = append(list, Stat{Name: "store/" + s.Name, Value: s.Value})
	}
	return one(r, list, figureLines("%-28s: %d\n"))
}

// show prints settings; the application, which EMQ wants to know, is looked at only to refuse others.
func show(r *Request) Result {
	key := ""
	for _, arg := range r.Args {
		switch app, isApp := strings.CutPrefix(arg, "--app="); {
		case isApp && app == "emqttd":
		case isApp:
			return notFound()
		case key == "" && !strings.HasPrefix(arg, "-"):
			key = arg
		default:
			return r.WrongArguments()
		}
	}
	list := r.Sources.Settings()
	if key != "" {
		list = slices.DeleteFunc(list, func(s Setting) bool { return s.Key != key })
		if len(list) == 0 {
			return notFound()
		}
	}
	return slicePage(r, list, func(b *strings.Builder, s Setting) {
		fmt.Fprintf(b, "%-40s %-20s %-20s emqttd\n", s.Key, safe(s.Value), s.Type)
	})
}

// set is conf set in the words of EMQ.
func set(r *Request) Result {
	args := slices.DeleteFunc(slices.Clone(r.Args), func(arg string) bool { return arg == "--app=emqttd" })
	key, value, ok := strings.Cut(first(args), "=")
	if len(args) != 1 || !ok {
		return r.WrongArguments()
	}
	return confChange(r, configuration.Request{Verb: configuration.Set, Values: []configuration.Value{{Key: key, Value: value}}})
}
