package topics

import "emqttd/protocol/topic"

// RoutesOf calls fn for the routes of exactly this filter: a cluster-wide one,
// one that is $local, both or none. It may be called by any goroutine.
func (r *Router) RoutesOf(f topic.Filter, fn func(Route)) {
	guard := r.space.Enter(0)
	defer guard.Leave()
	t := r.tableFor(f)
	id, ok := t.filters.Lookup(f)
	if !ok {
		return
	}
	var has [2]bool // cluster-wide, local
	t.each(id, func(_ string, at row) bool {
		if at.local() {
			has[1] = true
		} else {
			has[0] = true
		}
		return !has[0] || !has[1]
	})
	for i, there := range has {
		if there {
			fn(Route{Filter: f, Local: i == 1})
		}
	}
}
