package node

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"emqttd/actors/admin"
	"emqttd/actors/admin/web"
	"emqttd/actors/kernel"
	"emqttd/actors/topics"
	"emqttd/protocol/topic"
)

func (n *Node) httpServer() *http.Server {
	return web.NewServer(web.Options{Sources: n.sources(), Logger: n.log, Metrics: n.prometheus(), Backoff: n.guesses, Others: others{n}, Routes: &n.plugins.routes})
}

// cursorOf reads a cursor of the topic tables.
func cursorOf(s string) topics.Cursor {
	c, _ := strconv.ParseUint(s, 10, 64)
	return topics.Cursor(c)
}

func cursorText(c topics.Cursor) string {
	if c == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(c), 10)
}

func (n *Node) listTopics(cursor string, limit int) (page []string, next string) {
	c := n.router.Topics(cursorOf(cursor), func(f topic.Filter, _ int) bool {
		page = append(page, string(f))
		return len(page) < limit
	})
	return page, cursorText(c)
}

func (n *Node) routeInfo(r topics.Route) admin.RouteInfo {
	info := admin.RouteInfo{Topic: string(r.Filter), Node: cmp.Or(r.Node, n.config.Node.Name)}
	if r.Local {
		info.Topic = "$local/" + info.Topic
	}
	return info
}

func (n *Node) listRoutes(cursor string, limit int) (page []admin.RouteInfo, next string) {
	c := n.router.Routes(cursorOf(cursor), func(r topics.Route) bool {
		page = append(page, n.routeInfo(r))
		return len(page) < limit
	})
	return page, cursorText(c)
}

func (n *Node) route(name string) []admin.RouteInfo {
	var out []admin.RouteInfo
	local := strings.HasPrefix(name, "$local/")
	f := topic.Filter(strings.TrimPrefix(name, "$local/"))
	for _, r := range n.router.RouteOf(f) {
		if r.Local == local {
			out = append(out, n.routeInfo(r))
		}
	}
	return out
}

// treeTime bounds how long a picture of the tree waits for busy actors.
const treeTime = 3 * time.Second

func actorOf(k kernel.Node) admin.Actor {
	a := admin.Actor{
		ID: k.ID, Name: k.Name, Kind: k.Kind, Mailbox: k.Depth, Restarts: k.Restarts, ChildCount: k.ChildCount,
	}
	for _, c := range k.Children {
		a.Children = append(a.Children, actorOf(c))
	}
	return a
}

func (n *Node) tree(id string, all bool) (admin.Actor, bool) {
	look := kernel.Tree
	if all {
		look = kernel.FullTree
	}
	t, err := look(n.system, n.system.NewLocalPID(id), treeTime)
	if err != nil {
		return admin.Actor{}, false
	}
	return actorOf(t), true
}

func (n *Node) inspect(id string) (admin.Actor, bool) {
	d, err := kernel.Inspect(n.system, id)
	if err != nil {
		return admin.Actor{}, false
	}
	return actorOf(d.Node), true
}

func (n *Node) kill(id string) bool { return kernel.KillByID(n.system, id) == nil }
