package topics

import (
	"fmt"
	"slices"
	"testing"

	"emqttd/protocol/topic"
)

// pages collects a listing by pages of the given size.
func pages[T any](t *testing.T, size int, list func(Cursor, func(T) bool) Cursor) (all []T) {
	t.Helper()
	for c, n := Cursor(0), 0; ; n++ {
		page := 0
		c = list(c, func(v T) bool {
			all = append(all, v)
			page++
			return page < size
		})
		if c == 0 {
			return all
		}
		if n > 10_000 {
			t.Fatal("the listing does not end")
		}
	}
}

func TestListingsShowEverythingOnceInPagesOfAnySize(t *testing.T) {
	r := newTestRouter(t, Options{Shards: 3})
	var wantSubs, wantRoutes, wantTopics []string
	note := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for i := range 40 {
		s, _ := join(t, r, fmt.Sprint("c", i))
		for _, text := range []string{fmt.Sprint("t/", i), "all", "$local/all", "$share/g/all", "$share/h/all", "$local/only", "x/+", fmt.Sprint("+/", i%7)} {
			r.subscribe(want(s, text, 1))
			sub := parse(text)
			note(&wantSubs, s.id+" "+text)
			note(&wantTopics, string(sub.Filter))
			route := topic.Subscription{Filter: sub.Filter, Local: sub.Local}
			note(&wantRoutes, route.String())
		}
	}
	for _, list := range [][]string{wantSubs, wantRoutes, wantTopics} {
		slices.Sort(list)
	}
	for _, size := range []int{1, 2, 7, 1000} {
		t.Run(fmt.Sprint("pages of ", size), func(t *testing.T) {
			check := func(what string, got, want []string) {
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s: got %d %v, want %d %v", what, len(got), got, len(want), want)
				}
			}
			check("subscriptions", pages(t, size, func(c Cursor, fn func(string) bool) Cursor {
				return r.Subscriptions(c, func(s Subscription) bool { return fn(s.ClientID + " " + s.Subscription.String()) })
			}), wantSubs)
			check("routes", pages(t, size, func(c Cursor, fn func(string) bool) Cursor {
				return r.Routes(c, func(s Route) bool {
					return fn(topic.Subscription{Filter: s.Filter, Local: s.Local}.String())
				})
			}), wantRoutes)
			check("topics", pages(t, size, func(c Cursor, fn func(string) bool) Cursor {
				return r.Topics(c, func(f topic.Filter, n int) bool {
					if f == "all" && n != 160 || f == "t/1" && n != 1 {
						t.Errorf("%q has %d subscriptions", f, n)
					}
					return fn(string(f))
				})
			}), wantTopics)
		})
	}
	if c := r.Counts(); c != (Counts{Topics: len(wantTopics), Subscribers: 40, Subscriptions: len(wantSubs)}) {
		t.Errorf("counts are %+v", c)
	}
	if got := r.RouteOf("all"); !slices.Equal(got, []Route{{"all", false, ""}, {"all", true, ""}}) {
		t.Errorf("routes of all: %v", got)
	}
	if got := r.RouteOf("only"); !slices.Equal(got, []Route{{"only", true, ""}}) {
		t.Errorf("routes of only: %v", got)
	}
	if got := r.RouteOf("none/+"); got != nil {
		t.Errorf("routes of none: %v", got)
	}
}

func TestRoutesOfOtherNodesAreListedUntilTheyAreDown(t *testing.T) {
	r := newTestRouter(t, Options{Shards: 1})
	r.Cluster("emq1", 1)
	own, _ := join(t, r, "c")
	r.subscribe(want(own, "shared", 1))
	var peers []*Subscriber
	for _, name := range []string{"emq3", "emq2"} {
		p := r.NewPeer(name, nil)
		peers = append(peers, p)
		r.tables[0].apply(&apply{
			to:      &application{peer: p, done: func(Digest) {}, left: 1},
			changes: []Change{{Filter: "shared"}, {Filter: "only"}, {Filter: "only", Group: "g", Weight: 1}, {Filter: "group", Group: "g", Weight: 1}},
		})
	}
	all := func() []Route {
		return pages(t, 1, func(c Cursor, fn func(Route) bool) Cursor { return r.Routes(c, fn) })
	}
	routes := []Route{
		{"shared", false, ""},
		{"shared", false, "emq2"},
		{"shared", false, "emq3"},
		{"only", false, "emq2"},
		{"only", false, "emq3"},
		{"group", false, "emq2"},
		{"group", false, "emq3"},
	}
	if got := all(); !slices.Equal(got, routes) {
		t.Errorf("got %v, want %v", got, routes)
	}
	r.Unregister(peers[0])
	if got := all(); !slices.Equal(got, []Route{{"shared", false, ""}, {"shared", false, "emq2"}, {"only", false, "emq2"}, {"group", false, "emq2"}}) {
		t.Errorf("after emq3 is down: %v", got)
	}
}
