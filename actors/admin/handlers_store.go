package admin

import (
	"fmt"
	"strings"
)

// StoreReport is what `store check` has found.
type StoreReport struct {
	Figures []Stat
	Sound   bool // nothing is damaged
}

func storeHandler() *Handler {
	return &Handler{Name: "store", Run: storeCommand, Usage: []Usage{
		{"store stats", "Show size and speed of what is kept on disk, and whether it takes new work"},
		{"store check", "Read every record of the running node's store"},
		{"store backup <Folder>", "Write a consistent copy into a new folder"},
		{"store restore <Folder>", "Check a backup and take it at the next start"},
		{"store export <File>", "Write everything as JSON lines into a new file"},
	}}
}

func storeCommand(r *Request) Result {
	switch {
	case len(r.Args) == 1 && r.Args[0] == "stats":
		return one(r, Figures(r.Sources.StoreStats()), figureLines("%-24s: %d\n"))
	case len(r.Args) == 1 && r.Args[0] == "check":
		report, err := r.Sources.StoreCheck()
		if err != nil {
			return refused(err)
		}
		if !report.Sound {
			res := figures(report.Figures, "The store is damaged: what cannot be read is passed over at the next start.\n")
			res.ExitCode = ExitFailed
			return res
		}
		return figures(report.Figures, "The store is sound.\n")
	case len(r.Args) == 2 && r.Args[0] == "backup":
		return storeDone("The backup is in %s.\n")(r.Sources.StoreBackup(r.Args[1]))
	case len(r.Args) == 2 && r.Args[0] == "restore":
		return storeDone("The backup was copied to %s and is sound. The node takes it at its next start, and keeps what it has now beside it.\n")(
			r.Sources.StoreRestore(r.Args[1]))
	case len(r.Args) == 2 && r.Args[0] == "export":
		return storeDone("Exported to %s.\n")(r.Sources.StoreExport(r.Args[1]))
	}
	return r.WrongArguments()
}

func storeDone(text string) func(string, error) Result {
	return func(what string, err error) Result {
		if err != nil {
			return refused(err)
		}
		return Result{Text: fmt.Sprintf(text, what)}
	}
}

func figures(list []Stat, last string) Result {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%-24s: %d\n", s.Name, s.Value)
	}
	return Result{Text: b.String() + last}
}
