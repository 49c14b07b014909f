package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// runOn executes a command on the node of that name.
func (r *Registry) runOn(o *Options, node string, c *Command) Result {
	there := *c
	there.Node, there.All = "", false
	if node == o.Sources.Node {
		return r.run(o, &there)
	}
	var res Result
	switch {
	case o.Relay == nil, o.Nodes != nil && !slices.Contains(o.Nodes(), node):
		res = Result{Text: fmt.Sprintf("unknown node %s\n", safe(node)), ExitCode: ExitFailed}
	default:
		answer, err := o.Relay(node, &there)
		if err == nil {
			return *answer
		}
		res = Result{Text: fmt.Sprintf("RPC to %s error: %v\n", safe(node), err), ExitCode: ExitFailed}
	}
	if c.JSON {
		res = wrapped(res)
	}
	return res
}

// runAll executes a command on one node after the other, in the order of their names, a page at a time. The cursor is
// the name of the node, and its own cursor behind a line break: nodes that come and go meanwhile do no harm.
func (r *Registry) runAll(o *Options, c *Command) Result {
	nodes := []string{o.Sources.Node}
	if o.Nodes != nil {
		nodes = slices.Sorted(slices.Values(o.Nodes()))
	}
	node, inner, _ := strings.Cut(c.Cursor, "\n")
	at, found := slices.BinarySearch(nodes, node)
	if at == len(nodes) {
		return Result{} // it was the last, and has left
	}
	if !found {
		inner = ""
	}
	node = nodes[at]
	there := *c
	there.Cursor = inner
	res := r.runOn(o, node, &there)
	if len(nodes) > 1 {
		res.Text = headed(res.Text, node, inner == "", c.JSON)
	}
	switch {
	case res.Cursor != "":
		res.Cursor = node + "\n" + res.Cursor
	case at+1 < len(nodes):
		res.Cursor = nodes[at+1] + "\n"
	}
	return res
}

// headed says whose text it is: a line before the first page, or a first field of each JSON object.
func headed(text, node string, first, inJSON bool) string {
	if !inJSON {
		if first {
			return "== " + node + "\n" + text
		}
		return text
	}
	name, err := json.Marshal(node)
	if err != nil {
		panic(err) // a string always encodes
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "{"); ok {
			sep := ","
			if strings.HasPrefix(rest, "}") {
				sep = ""
			}
			line = `{"node":` + string(name) + sep + rest
		}
		b.WriteString(line)
	}
	return b.String()
}
