package v3

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// tree is an actor with those below it.
type tree struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Kind       string `json:"kind,omitempty"`
	Mailbox    int    `json:"mailbox" doc:"Messages that wait."`
	Restarts   int    `json:"restarts"`
	ChildCount int    `json:"child_count"`
	Children   []tree `json:"children,omitempty" doc:"Those of shards are only counted."`
}

func treeOf(a admin.Actor) tree {
	t := tree{ID: a.ID, Name: a.Name, Kind: a.Kind, Mailbox: a.Mailbox, Restarts: a.Restarts, ChildCount: a.ChildCount}
	for _, c := range a.Children {
		t.Children = append(t.Children, treeOf(c))
	}
	return t
}

// byActor names an actor.
type byActor struct {
	ID string `path:"id" doc:"As the tree has it, node/sessions/17; slashes may stand as they are."`
}

func (a *api) registerActors() {
	const tag = "actors"
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/actors/tree", "getTree", "The supervision tree"),
		func(context.Context, *struct{}) (*body[tree], error) {
			t, ok := a.src.Tree("node", false)
			if !ok {
				return nil, huma.Error503ServiceUnavailable("the node starts or stops")
			}
			return answer(treeOf(t))
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/actors/tree/{id}", "getSubtree", "An actor with those below it", 404),
		func(_ context.Context, in *byActor) (*body[tree], error) {
			t, ok := a.src.Tree(in.ID, false)
			if !ok {
				return nil, noActor()
			}
			return answer(treeOf(t))
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/actors/one/{id}", "getActor", "An actor", 404),
		func(_ context.Context, in *byActor) (*body[tree], error) {
			x, ok := a.src.Inspect(in.ID)
			if !ok {
				return nil, noActor()
			}
			return answer(treeOf(x))
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodDelete, "/actors/one/{id}", "killActor", "Crash an actor; its supervisor takes over", 404, 409),
		func(_ context.Context, in *byActor) (*struct{}, error) {
			if in.ID == "node" {
				return nil, huma.Error409Conflict("the root is not killed")
			}
			return done(a.src.Kill(in.ID), "no such actor")
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/actors/top", "getBusiest", "The busiest actors; it takes a second"),
		func(_ context.Context, in *struct {
			By    string `query:"by" enum:"mailbox,rate" default:"mailbox"`
			Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"20"`
		},
		) (*body[admin.Busiest], error) {
			return answer(admin.Top(a.src, in.Limit, in.By == "rate", time.Second))
		})
}

func noActor() error { return huma.Error404NotFound("no such actor") }
