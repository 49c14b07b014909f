package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

func listenersHandler() *Handler {
	return &Handler{Name: "listeners", Run: listeners, Usage: []Usage{
		{"listeners", "List listeners"},
		{"listeners start <Name>", "Accept clients again"},
		{"listeners stop <Name>", "Accept no clients any more; those that are there stay"},
		{"listeners restart <Name>", "Stop and start a listener"},
		{"listeners restart <Proto> <Port>", "The same, as EMQ has it: tcp, ssl, ws, wss or api, and a port or IP:port"},
		{"listeners stop <Proto> <Port>", "The same for stop; and for start"},
		{"listeners reload [<Name>]", "Read certificates and revocations again; clients stay"},
	}}
}

func listeners(r *Request) Result {
	switch {
	case len(r.Args) == 0:
		return slicePage(r, r.Sources.Listeners(), listenerLines)
	case slices.Equal(r.Args, []string{"reload"}):
		return changeListener(r, "reload", "")
	case len(r.Args) == 2:
		return changeListener(r, r.Args[0], r.Args[1])
	case len(r.Args) == 3:
		return changeListenerAt(r, r.Args[0], r.Args[1], r.Args[2])
	}
	return r.WrongArguments()
}

func listenerLines(b *strings.Builder, l ListenerInfo) {
	fmt.Fprintf(b, "listener on %s:%s\n", l.Protocol, l.Listen)
	if l.Stopped {
		fmt.Fprintf(b, "  %-16s: %s\n", "status", "stopped")
	}
	fmt.Fprintf(b, "  %-16s: %d\n", "acceptors", l.Acceptors)
	fmt.Fprintf(b, "  %-16s: %d\n", "max_clients", l.MaxClients)
	fmt.Fprintf(b, "  %-16s: %d\n", "current_clients", l.CurrentClients)
	reasons := make([]string, len(l.ShutdownCount))
	for i, s := range l.ShutdownCount {
		reasons[i] = fmt.Sprintf("{%s,%d}", s.Name, s.Value)
	}
	fmt.Fprintf(b, "  %-16s: [%s]\n", "shutdown_count", strings.Join(reasons, ","))
}

// errVerb is that a listener cannot do that.
var errVerb = errors.New("start, stop, restart or reload")

// ChangeListener starts, stops, restarts or reloads a listener by its name.
func (s *Sources) ChangeListener(verb, name string) error {
	switch verb {
	case "start":
		return s.StartListener(name)
	case "stop":
		return s.StopListener(name)
	case "reload":
		return s.ReloadListener(name)
	case "restart":
		if err := s.StopListener(name); err != nil {
			return err
		}
		return s.StartListener(name)
	}
	return errVerb
}

// changeListener starts or stops the listener of a name, tcp.external, or of an
// identifier as the list has it, mqtt:tcp:0.0.0.0:1883.
func changeListener(r *Request, verb, which string) Result {
	for _, l := range r.Sources.Listeners() {
		if l.Protocol+":"+l.Listen == which {
			which = l.Name
		}
	}
	switch err := r.Sources.ChangeListener(verb, which); {
	case errors.Is(err, errVerb):
		return r.WrongArguments()
	case err != nil:
		return Result{Text: fmt.Sprintf("%s listener %s: %v\n", verb, cmp.Or(which, "all"), err), ExitCode: ExitFailed}
	}
	return Result{Text: "ok\n"}
}

// changeListenerAt is changeListener as EMQ 2.3 has it, with EMQ's words: a protocol, with or without mqtt: before it, and
// a port or an address.
func changeListenerAt(r *Request, verb, proto, at string) Result {
	if verb != "start" && verb != "stop" && verb != "restart" {
		return r.WrongArguments()
	}
	err := errors.New("not_found")
	for _, l := range r.Sources.Listeners() {
		if l.Protocol != proto && l.Protocol != "mqtt:"+proto {
			continue
		}
		if _, port, e := net.SplitHostPort(l.Listen); l.Listen == at || e == nil && port == at {
			err = r.Sources.ChangeListener(verb, l.Name)
			break
		}
	}
	title := strings.ToUpper(verb[:1]) + verb[1:]
	if err != nil {
		first := verb
		if verb == "start" {
			first = title // as EMQ has it
		}
		return Result{Text: fmt.Sprintf("Failed to %s %s listener on %s, error:%v\n", first, safe(proto), safe(at), err), ExitCode: ExitFailed}
	}
	return Result{Text: fmt.Sprintf("%s %s listener on %s successfully.\n", title, safe(proto), safe(at))}
}
