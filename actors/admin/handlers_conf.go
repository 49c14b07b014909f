package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"emqttd/actors/configuration"
	"emqttd/config"
)

func confHandler() *Handler {
	return &Handler{Name: "conf", Run: conf, Usage: []Usage{
		{"conf check [<File>]", "Say what is wrong with the configuration files, or with another emq.conf"},
		{"conf show [<Prefix>]", "Show the settings in force, when a change of each is, and what waits for a restart"},
		{"conf diff [<File>|<Number>]", "Show what a reload, of the files or another emq.conf, or a rollback would change"},
		{"conf explain <Key>", "Show what a key means, what it may be, and where its value comes from"},
		{"conf set <Key> <Value>", "Write a key into its file, and reload"},
		{"conf reload", "Read the files again; a mistake in them changes nothing"},
		{"conf history", "Show what configurations there were"},
		{"conf rollback <Number>", "Write the files back as they were, and reload"},
	}}
}

// byCommand is who makes a change, as the history says it.
const byCommand = "emqttd_ctl"

func conf(r *Request) Result {
	verb, args := "", []string(nil)
	if len(r.Args) > 0 {
		verb, args = r.Args[0], r.Args[1:]
	}
	owner := r.Sources.Config
	switch {
	case verb == "check" && len(args) <= 1:
		return ConfProblems(owner.Check(first(args)), r.JSON)
	case verb == "show" && len(args) <= 1:
		return confShow(r, first(args))
	case verb == "diff" && len(args) <= 1:
		return confDiff(r, first(args))
	case verb == "explain" && len(args) == 1:
		return confExplain(r, args[0])
	case verb == "set" && len(args) == 2:
		return confChange(r, configuration.Request{Verb: configuration.Set, Values: []configuration.Value{{Key: args[0], Value: args[1]}}})
	case verb == "reload" && len(args) == 0:
		return confChange(r, configuration.Request{Verb: configuration.Reload})
	case verb == "history" && len(args) == 0:
		return slicePage(r, owner.History(), confEntryLine)
	case verb == "rollback" && len(args) == 1:
		n, err := strconv.Atoi(args[0])
		if err != nil || n <= 0 {
			return r.WrongArguments()
		}
		return confChange(r, configuration.Request{Verb: configuration.Rollback, Number: n})
	}
	return r.WrongArguments()
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// confProblem is a line of conf check.
type confProblem struct {
	Severity string `json:"severity"` // error or warning
	Where    string `json:"where"`
	Key      string `json:"key"`
	Message  string `json:"message"`
	Nearest  string `json:"nearest"`
}

// ConfProblems is the answer of conf check: a line for each problem. With an error
// among them it has failed.
func ConfProblems(p config.Problems, inJSON bool) Result {
	var b strings.Builder
	put := func(severity string, list []config.Problem) {
		for _, q := range list {
			if inJSON {
				writeJSON(&b, confProblem{severity, q.Where, q.Key, q.Message, q.Nearest})
			} else {
				fmt.Fprintf(&b, "%s: %s\n", severity, safe(q.String()))
			}
		}
	}
	put("error", p.Errors)
	put("warning", p.Warnings)
	res := Result{Text: b.String(), formatted: true}
	if len(p.Errors) > 0 {
		res.ExitCode = ExitFailed
		return res
	}
	if inJSON && res.Text == "" {
		return wrapped(Result{})
	}
	if !inJSON {
		res.Text += "ok\n"
	}
	return res
}

func confShow(r *Request, prefix string) Result {
	rows := r.Sources.Config.Settings(prefix)
	if len(rows) == 0 {
		return confUnknown(r, prefix)
	}
	return slicePage(r, rows, func(b *strings.Builder, row configuration.Row) {
		fmt.Fprintf(b, "%-44s = %s  # %s%s\n", row.Key, safe(row.Value), row.Live, pending(row.Pending))
	})
}

// confUnknown is the answer where there is nothing, with the nearest key.
func confUnknown(r *Request, key string) Result {
	if _, err := r.Sources.Config.Explain(key); err != nil {
		return refused(err)
	}
	return Result{Text: "Error: " + safe(key) + " is not set\n", ExitCode: ExitFailed}
}

func pending(value string) string {
	if value == "" {
		return ""
	}
	return "; pending restart: " + safe(value)
}

func confDiff(r *Request, what string) Result {
	diff := r.Sources.Config.Diff
	if n, err := strconv.Atoi(what); err == nil && n > 0 {
		diff = func(string) ([]config.Change, error) { return r.Sources.Config.DiffNumber(n) }
	}
	changes, err := diff(what)
	if err != nil {
		return refused(err)
	}
	return slicePage(r, changes, changeLine)
}

func changeLine(b *strings.Builder, c config.Change) {
	fmt.Fprintf(b, "%s: %s -> %s  # %s\n", c.Key, quoted(c.From), quoted(c.To), c.Live)
}

// quoted shows that there is nothing.
func quoted(value string) string {
	if value == "" {
		return `""`
	}
	return safe(value)
}

func confExplain(r *Request, key string) Result {
	x, err := r.Sources.Config.Explain(key)
	if err != nil {
		return refused(err)
	}
	return one(r, x, func(b *strings.Builder, x configuration.Explanation) {
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(b, "%-8s: %s\n", name, value)
			}
		}
		line("key", x.Key)
		line("value", quoted(x.Value)+pending(x.Pending))
		line("from", strings.TrimSuffix(x.Layer+", "+x.Where, ", "))
		line("default", quoted(x.Default))
		line("type", x.Type)
		line("range", x.Range)
		line("live", x.Live.String())
		line("meaning", x.Meaning)
		line("note", x.Note)
	})
}

func confChange(r *Request, change configuration.Request) Result {
	change.By = byCommand
	out, err := r.Sources.Config.Do(change)
	if err != nil {
		return refused(err)
	}
	return one(r, out, outcomeLines)
}

// outcomeLines say what has changed, what is odd, and what waits for a restart.
func outcomeLines(b *strings.Builder, o configuration.Outcome) {
	for _, w := range o.Warnings {
		fmt.Fprintf(b, "warning: %s\n", safe(w.String()))
	}
	for _, c := range o.Changes {
		changeLine(b, c)
	}
	fmt.Fprintf(b, "Configuration %d is accepted: %s.\n", o.Number, counted(len(o.Changes), "change"))
	for _, c := range o.Pending {
		if !slices.Contains(o.Changes, c) {
			changeLine(b, c)
		}
	}
	if n := len(o.Pending); n > 0 {
		fmt.Fprintf(b, "Restart the node for %s.\n", counted(n, "pending change"))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func confEntryLine(b *strings.Builder, e configuration.Entry) {
	fmt.Fprintf(b, "%d  %s  %s  %s\n", e.Number, e.Time.UTC().Format(time.RFC3339), safe(e.By), safe(e.What))
	for _, c := range e.Changes {
		b.WriteString("    ")
		changeLine(b, c)
	}
}
