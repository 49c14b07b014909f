package admin

import (
	"fmt"
	"strings"
)

func explainHandler() *Handler {
	return &Handler{Name: "explain", Run: explain, Usage: []Usage{
		{"explain client <ClientId>", "Why a client gets, or does not get, messages"},
		{"explain topic <Topic>", "Who gets what is published there, and what was dropped"},
		{"explain message <Tag>", "What became of a message that a trace has seen"},
	}}
}

// explain judges what is now, and the last drops; a message only if it was traced.
func explain(r *Request) Result {
	if len(r.Args) != 2 {
		return r.WrongArguments()
	}
	var why func(string) ([]string, error)
	switch r.Args[0] {
	case "client":
		why = r.Sources.ExplainClient
	case "topic":
		why = r.Sources.ExplainTopic
	case "message":
		why = r.Sources.ExplainMessage
	default:
		return r.WrongArguments()
	}
	lines, err := why(r.Args[1])
	if err != nil {
		return refused(err)
	}
	rows := make([]explained, len(lines))
	for i, line := range lines {
		rows[i].Result = line
	}
	return slicePage(r, rows, func(b *strings.Builder, e explained) { fmt.Fprintln(b, safe(e.Result)) })
}

// explained is a line of an explanation: in JSON all rows are objects, and as a table
// one that is called result is printed as it is.
type explained struct {
	Result string `json:"result"`
}
