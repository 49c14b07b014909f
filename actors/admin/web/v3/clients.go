package v3

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// ByID names a client.
type ByID struct {
	ID string `path:"id" doc:"Client identifier."`
}

// clientFilter chooses clients.
type clientFilter struct {
	Paging
	Prefix   string `query:"prefix" doc:"Begin of the client identifier."`
	Username string `query:"username"`
	IP       string `query:"ip"`
	Clean    string `query:"clean_session" enum:"true,false"`
}

func (f *clientFilter) match(c *admin.ClientInfo) bool {
	return strings.HasPrefix(c.ID, f.Prefix) && (f.Username == "" || f.Username == c.Username) &&
		(f.IP == "" || f.IP == c.IP) && isWanted(f.Clean, c.CleanSession)
}

// isWanted tells whether a flag is as a filter wants it: true, false, or empty for both.
func isWanted(want string, is bool) bool { return want == "" || (want == "true") == is }

// sessionFilter chooses sessions.
type sessionFilter struct {
	Paging
	Prefix    string `query:"prefix" doc:"Begin of the client identifier."`
	Clean     string `query:"clean_session" enum:"true,false"`
	Connected string `query:"connected" enum:"true,false"`
	Queued    int    `query:"queued" minimum:"0" doc:"At least so many messages wait."`
}

func (f *sessionFilter) match(s *admin.SessionInfo) bool {
	return strings.HasPrefix(s.ClientID, f.Prefix) && isWanted(f.Clean, s.CleanSession) && isWanted(f.Connected, s.Connected) && s.QueueLen >= f.Queued
}

func (a *api) registerClients() {
	const clients, sessions = "clients", "sessions"
	huma.Register(a, op(clients, operators.Viewer, http.MethodGet, "/clients", "listClients", "Connected clients", 422),
		func(_ context.Context, in *clientFilter) (*body[page[admin.ClientInfo]], error) {
			return list(&in.Paging, clients, a.src.Clients, in.match)
		})
	huma.Register(a, op(clients, operators.Viewer, http.MethodGet, "/clients/{id}", "getClient", "A connected client", 404),
		func(_ context.Context, in *ByID) (*body[admin.ClientInfo], error) {
			c, ok := a.src.Client(in.ID)
			if !ok {
				return nil, huma.Error404NotFound("the client is not connected")
			}
			return answer(c)
		})
	huma.Register(a, op(clients, operators.Operator, http.MethodDelete, "/clients/{id}", "kickClient", "Close the connection of a client", 404),
		func(_ context.Context, in *ByID) (*struct{}, error) {
			return done(a.src.Kick(in.ID), "the client is not connected")
		})
	huma.Register(a, op(clients, operators.Operator, http.MethodPut, "/clients/{id}/clean_acl_cache", "judgeClient", "Judge the rights of a client anew", 404),
		func(_ context.Context, in *ByID) (*struct{}, error) {
			return done(a.src.CleanACLCache(in.ID), "the client is not connected")
		})

	huma.Register(a, op(sessions, operators.Viewer, http.MethodGet, "/sessions", "listSessions", "Sessions, connected or not", 422),
		func(_ context.Context, in *sessionFilter) (*body[page[admin.SessionInfo]], error) {
			return list(&in.Paging, sessions, func(cursor string, limit int) ([]admin.SessionInfo, string) {
				return a.src.Sessions(admin.AllSessions, cursor, limit)
			}, in.match)
		})
	huma.Register(a, op(sessions, operators.Viewer, http.MethodGet, "/sessions/{id}", "getSession", "A session", 404),
		func(_ context.Context, in *ByID) (*body[admin.SessionInfo], error) {
			s, ok := a.src.Session(in.ID)
			if !ok {
				return nil, noSession()
			}
			return answer(s)
		})
	huma.Register(a, op(sessions, operators.Viewer, http.MethodGet, "/sessions/{id}/messages", "getSessionMessages",
		"What is on its way to a client and what waits for it; payloads are not shown", 404), a.contents)
	huma.Register(a, op(sessions, operators.Viewer, http.MethodGet, "/sessions/{id}/subscriptions", "getSessionSubscriptions", "The subscriptions of a session", 404),
		func(_ context.Context, in *ByID) (*body[page[admin.SubscriptionInfo]], error) {
			rows, ok := a.src.SubscriptionsOf(in.ID)
			if !ok {
				return nil, noSession()
			}
			return whole(rows)
		})
}

func (a *api) contents(_ context.Context, in *struct {
	ByID
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most messages of each kind."`
},
) (*body[admin.SessionContents], error) {
	c, ok := a.src.Contents(in.ID, in.Limit)
	if !ok {
		return nil, noSession()
	}
	return answer(c)
}

func noSession() error { return huma.Error404NotFound("there is no such session") }

// done answers with 204, or with 404 and what is missing.
func done(found bool, missing string) (*struct{}, error) {
	if !found {
		return nil, huma.Error404NotFound(missing)
	}
	return nil, nil
}
