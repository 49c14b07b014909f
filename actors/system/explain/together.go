package explain

import (
	"fmt"
	"slices"
)

// Part is what one node has to say.
type Part struct {
	Node  string
	Found bool // the session, a subscriber, or the message
	Lines []string
	Err   string // why the node has not answered; empty: it has
}

// What there is to say if no node has found anything.
const (
	NoSession    = "there is no session: nothing is kept for this client"
	NoSubscriber = "no subscriber: what is published there is dropped"
)

// Together makes one answer of those of all nodes: who has found something comes
// first. Nobody is named where there is one node only.
func Together(parts []Part, nothing string) []string {
	var out []string
	if !slices.ContainsFunc(parts, func(p Part) bool { return p.Found }) {
		out = append(out, nothing)
	}
	if len(parts) == 1 {
		return append(out, parts[0].Lines...)
	}
	slices.SortStableFunc(parts, func(a, b Part) int {
		switch {
		case a.Found == b.Found:
			return 0
		case a.Found:
			return -1
		}
		return 1
	})
	for i := range parts {
		p := &parts[i]
		if p.Err != "" {
			out = append(out, fmt.Sprintf("%s has not answered, and may know more: %s", p.Node, p.Err))
		} else if len(p.Lines) > 0 {
			out = append(append(out, "at "+p.Node+":"), p.Lines...)
		}
	}
	return out
}
