package admin

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const rootID = "node"

func actors(r *Request) Result {
	if len(r.Args) == 0 {
		return r.WrongArguments()
	}
	verb, args := r.Args[0], r.Args[1:]
	switch {
	case verb == "tree":
		return tree(r, args)
	case verb == "top":
		return top(r, args)
	case verb == "show" && len(args) == 1:
		a, ok := r.Sources.Inspect(actorID(args[0]))
		if !ok {
			return notFound()
		}
		return one(r, a, describe)
	case verb == "kill" && len(args) == 1:
		id := actorID(args[0])
		if id == rootID {
			return Result{Text: "Error: the root is not killed; use `emqttd stop`\n", ExitCode: ExitFailed}
		}
		if !r.Sources.Kill(id) {
			return notFound()
		}
		return Result{Text: "ok\n"}
	}
	return r.WrongArguments()
}

// actorID completes a name as operators type it: sessions/17 means node/sessions/17.
func actorID(name string) string {
	if name == rootID || strings.HasPrefix(name, rootID+"/") {
		return name
	}
	return rootID + "/" + name
}

func tree(r *Request, args []string) Result {
	id, shape, all := rootID, false, false
	for i, arg := range args {
		switch {
		case arg == "--shape":
			shape = true
		case arg == "--all":
			all = true
		case i == 0 && !strings.HasPrefix(arg, "-"):
			id = actorID(arg)
		default:
			return r.WrongArguments()
		}
	}
	root, ok := r.Sources.Tree(id, all && !shape)
	if !ok {
		return notFound()
	}
	if r.JSON {
		return slicePage(r, flatten(nil, root), nil)
	}
	var lines []string
	if shape {
		lines = drawShape(nil, root, "", "")
	} else {
		lines = drawTree(nil, root, "", "")
	}
	return slicePage(r, lines, func(b *strings.Builder, line string) { b.WriteString(line + "\n") })
}

// branches calls draw for each child with the strokes before it and before its own children.
func branches(n int, indent string, draw func(i int, stroke, below string)) {
	for i := range n {
		if i == n-1 {
			draw(i, indent+"└─ ", indent+"   ")
		} else {
			draw(i, indent+"├─ ", indent+"│  ")
		}
	}
}

func drawTree(lines []string, a Actor, stroke, indent string) []string {
	const width = 40
	label := stroke + safe(a.Name)
	pad := max(width-utf8.RuneCountInString(label), 1)
	lines = append(lines, fmt.Sprintf("%s%*schildren=%d mailbox=%d restarts=%d", label, pad, "", a.ChildCount, a.Mailbox, a.Restarts))
	branches(len(a.Children), indent, func(i int, stroke, below string) {
		lines = drawTree(lines, a.Children[i], stroke, below)
	})
	return lines
}

// drawShape draws names only, and shards as one line <0..n>: the same on every machine, whatever the number of its
// cores and clients.
func drawShape(lines []string, a Actor, stroke, indent string) []string {
	if isSharded(a) {
		return append(lines, stroke+a.Name+"/<0..n>")
	}
	lines = append(lines, stroke+a.Name)
	branches(len(a.Children), indent, func(i int, stroke, below string) {
		lines = drawShape(lines, a.Children[i], stroke, below)
	})
	return lines
}

// isSharded reports whether the children are numbered 0 … n.
func isSharded(a Actor) bool {
	seen := make(map[string]bool, len(a.Children))
	for _, c := range a.Children {
		seen[c.Name] = true
	}
	for i := range a.Children {
		if !seen[strconv.Itoa(i)] {
			return false
		}
	}
	return len(a.Children) > 0
}

// flatten makes rows of a tree, each actor before those below it: it may be too long for one object.
func flatten(rows []Actor, a Actor) []Actor {
	children := a.Children
	a.Children = nil
	rows = append(rows, a)
	for _, c := range children {
		rows = flatten(rows, c)
	}
	return rows
}

func describe(b *strings.Builder, a Actor) {
	line := func(key string, value any) { fmt.Fprintf(b, "%-10s: %v\n", key, value) }
	line("id", safe(a.ID))
	if a.Kind != "" {
		line("kind", a.Kind)
	}
	line("children", a.ChildCount)
	line("mailbox", a.Mailbox)
	line("restarts", a.Restarts)
}
