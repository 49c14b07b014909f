package v3

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// subscriptionFilter chooses subscriptions.
type subscriptionFilter struct {
	Paging
	ClientID string `query:"client_id"`
	Topic    string `query:"topic" doc:"Exactly this filter."`
	Prefix   string `query:"prefix" doc:"Begin of the filter."`
	Share    string `query:"share" doc:"The group of a shared subscription."`
	QoS      int    `query:"qos" minimum:"-1" maximum:"2" default:"-1" doc:"-1 is all."`
}

func (f *subscriptionFilter) match(s *admin.SubscriptionInfo) bool {
	return (f.ClientID == "" || f.ClientID == s.ClientID) && (f.Topic == "" || f.Topic == s.Topic) &&
		strings.HasPrefix(s.Topic, f.Prefix) && (f.Share == "" || f.Share == s.Group) && (f.QoS < 0 || f.QoS == int(s.QoS))
}

// topicFilter chooses topics.
type topicFilter struct {
	Paging
	Prefix string `query:"prefix" doc:"Begin of the topic."`
}

func (f *topicFilter) match(t *admin.TopicInfo) bool { return strings.HasPrefix(t.Topic, f.Prefix) }

func topicsOf(source func(cursor string, limit int) ([]string, string)) func(cursor string, limit int) ([]admin.TopicInfo, string) {
	return func(cursor string, limit int) ([]admin.TopicInfo, string) {
		names, next := source(cursor, limit)
		rows := make([]admin.TopicInfo, len(names))
		for i, name := range names {
			rows[i].Topic = name
		}
		return rows, next
	}
}

func (a *api) registerTopics() {
	const tag = "topics"
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/subscriptions", "listSubscriptions", "Subscriptions of all sessions", 422),
		func(_ context.Context, in *subscriptionFilter) (*body[page[admin.SubscriptionInfo]], error) {
			source := a.src.Subscriptions
			if in.ClientID != "" { // no need to look for him
				source = func(string, int) ([]admin.SubscriptionInfo, string) {
					rows, _ := a.src.SubscriptionsOf(in.ClientID)
					return rows, ""
				}
			}
			return list(&in.Paging, "subscriptions", source, in.match)
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/topics", "listTopics", "Filters that have subscribers", 422),
		func(_ context.Context, in *topicFilter) (*body[page[admin.TopicInfo]], error) {
			return list(&in.Paging, "topics", topicsOf(a.src.Topics), in.match)
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/routes", "listRoutes", "Which nodes have subscribers for a filter", 422),
		func(_ context.Context, in *topicFilter) (*body[page[admin.RouteInfo]], error) {
			return list(&in.Paging, "routes", a.src.Routes, func(r *admin.RouteInfo) bool { return strings.HasPrefix(r.Topic, in.Prefix) })
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/routes/{topic}", "getRoutes", "The routes of a filter", 404),
		func(_ context.Context, in *struct {
			Topic string `path:"topic"`
		},
		) (*body[page[admin.RouteInfo]], error) {
			rows := a.src.Route(in.Topic)
			if len(rows) == 0 {
				return nil, huma.Error404NotFound("nobody subscribes to it")
			}
			return whole(rows)
		})
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/retained", "listRetained", "Topics that have a retained message", 422),
		func(_ context.Context, in *topicFilter) (*body[page[admin.TopicInfo]], error) {
			return list(&in.Paging, "retained", topicsOf(a.src.RetainedTopics), in.match)
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodDelete, "/retained", "cleanRetained", "Delete all retained messages", 503),
		func(context.Context, *struct{}) (*body[figures], error) {
			n, err := a.src.CleanRetained()
			if err != nil {
				return nil, huma.Error503ServiceUnavailable(err.Error())
			}
			return answer(figures{"deleted": int64(n)})
		})
}
