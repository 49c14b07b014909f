package admin

import (
	"fmt"
	"slices"
	"strings"
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

func clusterHandler() *Handler {
	return &Handler{Name: "cluster", Run: clusterCommand, Usage: []Usage{{"cluster status", "Show the nodes of the cluster"}}}
}

// clusterCommand is that of a node which is alone.
func clusterCommand(r *Request) Result {
	if !slices.Equal(r.Args, []string{"status"}) {
		return r.WrongArguments()
	}
	return one(r, map[string][]string{"running_nodes": {r.Sources.Node}}, func(b *strings.Builder, _ map[string][]string) {
		fmt.Fprintf(b, "Cluster status: [{running_nodes,['%s']}]\n", r.Sources.Node)
	})
}
