package admin

import (
	"errors"
	"fmt"
	"strings"
)

func clients(r *Request) Result {
	switch {
	case len(r.Args) == 1 && r.Args[0] == "list":
		return listPage(r, r.Sources.Clients, clientLine)
	case len(r.Args) == 2 && r.Args[0] == "show":
		c, ok := r.Sources.Client(r.Args[1])
		if !ok {
			return notFound()
		}
		return one(r, c, clientLine)
	case len(r.Args) == 2 && r.Args[0] == "kick":
		if !r.Sources.Kick(r.Args[1]) {
			return notFound()
		}
		return Result{}
	}
	return r.WrongArguments()
}

func clientLine(b *strings.Builder, c ClientInfo) {
	fmt.Fprintf(b, "Client(%s, clean_sess=%t, username=%s, peername=%s:%d, connected_at=%d)\n",
		safe(c.ID), c.CleanSession, safe(OrUndefined(c.Username)), c.IP, c.Port, c.ConnectedAt.Unix())
}

// OrUndefined is how EMQ shows a text that is not there.
func OrUndefined(s string) string {
	if s == "" {
		return "undefined"
	}
	return s
}

var sessionFilters = map[string]SessionFilter{"persistent": PersistentSessions, "transient": TransientSessions}

func sessions(r *Request) Result {
	filter := AllSessions
	switch {
	case len(r.Args) == 2 && r.Args[0] == "show":
		s, ok := r.Sources.Session(r.Args[1])
		if !ok {
			return notFound()
		}
		return one(r, s, sessionLine)
	case len(r.Args) == 2 && r.Args[0] == "list":
		var ok bool
		if filter, ok = sessionFilters[r.Args[1]]; !ok {
			return r.WrongArguments()
		}
	case len(r.Args) != 1 || r.Args[0] != "list":
		return r.WrongArguments()
	}
	return listPage(r, func(cursor string, limit int) ([]SessionInfo, string) {
		return r.Sources.Sessions(filter, cursor, limit)
	}, sessionLine)
}

func sessionLine(b *strings.Builder, s SessionInfo) {
	fmt.Fprintf(b, "Session(%s, clean_sess=%t, subscriptions=%d, max_inflight=%d, inflight=%d, mqueue_len=%d, "+
		"mqueue_dropped=%d, awaiting_rel=%d, deliver_msg=%d, enqueue_msg=%d, created_at=%d)\n",
		safe(s.ClientID), s.CleanSession, s.Subscriptions, s.MaxInflight, s.Inflight, s.QueueLen,
		s.QueueDropped, s.AwaitingRel, s.Delivered, s.Enqueued, s.CreatedAt.Unix())
}

func routes(r *Request) Result {
	switch {
	case len(r.Args) == 1 && r.Args[0] == "list":
		return listPage(r, r.Sources.Routes, routeLine)
	case len(r.Args) == 2 && r.Args[0] == "show":
		found := r.Sources.Route(r.Args[1])
		if len(found) == 0 {
			return notFound()
		}
		return slicePage(r, found, routeLine)
	}
	return r.WrongArguments()
}

func routeLine(b *strings.Builder, route RouteInfo) {
	fmt.Fprintf(b, "%s -> %s\n", safe(route.Topic), route.Node)
}

// TopicInfo is a topic of a list.
type TopicInfo struct {
	Topic string `json:"topic"`
}

type topicNodes struct {
	Topic string   `json:"topic"`
	Nodes []string `json:"nodes"`
}

// topicPage prints one page of topics, one a line.
func topicPage(r *Request, list func(cursor string, limit int) ([]string, string)) Result {
	return listPage(r, func(cursor string, limit int) ([]TopicInfo, string) {
		names, next := list(cursor, limit)
		rows := make([]TopicInfo, len(names))
		for i, name := range names {
			rows[i].Topic = name
		}
		return rows, next
	}, func(b *strings.Builder, t TopicInfo) { b.WriteString(safe(t.Topic) + "\n") })
}

func topics(r *Request) Result {
	switch {
	case len(r.Args) == 1 && r.Args[0] == "list":
		return topicPage(r, r.Sources.Topics)
	case len(r.Args) == 2 && r.Args[0] == "show":
		found := r.Sources.Route(r.Args[1])
		if len(found) == 0 {
			return notFound()
		}
		info := topicNodes{Topic: r.Args[1]}
		for _, route := range found {
			info.Nodes = append(info.Nodes, route.Node)
		}
		return one(r, info, func(b *strings.Builder, t topicNodes) {
			fmt.Fprintf(b, "%s -> %s\n", safe(t.Topic), strings.Join(t.Nodes, ","))
		})
	}
	return r.WrongArguments()
}

func subscriptions(r *Request) Result {
	verb := ""
	if len(r.Args) > 0 {
		verb = r.Args[0]
	}
	switch {
	case verb == "list" && len(r.Args) == 1:
		return listPage(r, r.Sources.Subscriptions, subscriptionLine)
	case verb == "show" && len(r.Args) == 2:
		found, ok := r.Sources.SubscriptionsOf(r.Args[1])
		if !ok || len(found) == 0 {
			return notFound()
		}
		return slicePage(r, found, func(b *strings.Builder, s SubscriptionInfo) {
			subscriptionLine(b, s)
			fmt.Fprintf(b, "  %-8s: %d\n", "qos", s.QoS)
			if s.Group != "" {
				fmt.Fprintf(b, "  %-8s: %s\n", "share", safe(s.Group))
			}
		})
	case verb == "add" && len(r.Args) == 4:
		qos, ok := ParseQoS(r.Args[3])
		if !ok {
			return Result{Text: "QoS should be 0, 1, 2\n", ExitCode: ExitFailed}
		}
		return subscribed(r.Sources.Subscribe(r.Args[1], r.Args[2], qos))
	case verb == "del" && len(r.Args) == 3:
		return subscribed(r.Sources.Unsubscribe(r.Args[1], r.Args[2]))
	}
	return r.WrongArguments()
}

func subscriptionLine(b *strings.Builder, s SubscriptionInfo) {
	fmt.Fprintf(b, "%s -> %s\n", safe(s.ClientID), safe(s.Topic))
}

func subscribed(err error) Result {
	switch {
	case errors.Is(err, ErrNoSession):
		return Result{Text: "Error: Session not found!\n", ExitCode: ExitFailed}
	case err != nil:
		return refused(err)
	}
	return Result{Text: "ok\n"}
}

// ParseQoS reads 0, 1 or 2.
func ParseQoS(s string) (byte, bool) {
	if len(s) != 1 || s[0] < '0' || s[0] > '2' {
		return 0, false
	}
	return s[0] - '0', true
}
