package admin

import (
	"fmt"
	"slices"
)

func retainerHandler() *Handler {
	return &Handler{Name: "retainer", Run: retainer, Usage: []Usage{
		{"retainer info", "Show the number of retained messages"},
		{"retainer topics", "List the topics that have one"},
		{"retainer clean", "Delete all of them"},
	}}
}

func retainer(r *Request) Result {
	switch {
	case slices.Equal(r.Args, []string{"info"}):
		list := Figures{{Name: "retained/total"}}
		for _, s := range r.Sources.Stats() {
			if s.Name == "retained/count" {
				list[0].Value = s.Value
			}
		}
		return one(r, list, figureLines("%s: %d\n"))
	case slices.Equal(r.Args, []string{"topics"}):
		return topicPage(r, r.Sources.RetainedTopics)
	case slices.Equal(r.Args, []string{"clean"}):
		n, err := r.Sources.CleanRetained()
		if err != nil {
			return refused(err)
		}
		return Result{Text: fmt.Sprintf("Cleaned %d retained messages\n", n)}
	}
	return r.WrongArguments()
}
