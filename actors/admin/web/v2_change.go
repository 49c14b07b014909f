package web

import (
	"context"
	"errors"
	"net/http"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
	"emqttd/actors/configuration"
	"emqttd/protocol/topic"
)

// nothing is EMQ's result of what was done.
var nothing = []string{}

// cannot answers what could not be done as EMQ does: with 200 and a code.
func cannot(w http.ResponseWriter, code int, message string) {
	writeFailure(w, http.StatusOK, code, message)
}

func (a *api) kick(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	if !a.src.Kick(arg["id"]) {
		cannot(w, codeNotOnline, "client not online")
		return
	}
	writeResult(w, nothing)
}

// cleanACLCache forgets all that is kept about the rights of a client. EMQ wants a topic in the body and forgets that
// one; here the body is not looked at.
func (a *api) cleanACLCache(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	if !a.src.CleanACLCache(arg["id"]) {
		cannot(w, codeNotOnline, "client not online")
		return
	}
	writeResult(w, nothing)
}

func (a *api) publishV2(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	b := struct {
		Topic    string `json:"topic"`
		Payload  string `json:"payload"`
		QoS      byte   `json:"qos"`
		Retain   bool   `json:"retain"`
		ClientID string `json:"client_id"`
	}{ClientID: "http"}
	if !read(w, r, &b, "topic", "payload") {
		return
	}
	switch {
	case topic.CheckName(b.Topic) != nil:
		cannot(w, codeUnknown, "validate_topic error")
		return
	case b.QoS > 2:
		cannot(w, codeUnknown, "bad qos")
		return
	}
	switch err := a.src.Publish(admin.PublishRequest{ClientID: b.ClientID, Topic: b.Topic, Payload: []byte(b.Payload), QoS: b.QoS, Retain: b.Retain}); {
	case errors.Is(err, admin.ErrTooLarge):
		writeFailure(w, http.StatusRequestEntityTooLarge, codeParams, err.Error())
	case err != nil:
		writeFailure(w, http.StatusServiceUnavailable, codeUnknown, err.Error())
	default:
		writeResult(w, nothing)
	}
}

func (a *api) subscribe(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	var b struct {
		ClientID string `json:"client_id"`
		Topic    string `json:"topic"`
		QoS      byte   `json:"qos"`
	}
	if !read(w, r, &b, "client_id", "topic") {
		return
	}
	if b.QoS > 2 {
		cannot(w, codeUnknown, "bad qos")
		return
	}
	a.subscribed(w, a.src.Subscribe(b.ClientID, b.Topic, b.QoS))
}

func (a *api) unsubscribe(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	var b struct {
		ClientID string `json:"client_id"`
		Topic    string `json:"topic"`
	}
	if read(w, r, &b, "client_id", "topic") {
		a.subscribed(w, a.src.Unsubscribe(b.ClientID, b.Topic))
	}
}

func (a *api) subscribed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, admin.ErrNoSession):
		cannot(w, codeUnknown, "Session not found")
	case err != nil:
		cannot(w, codeUnknown, err.Error())
	default:
		writeResult(w, nothing)
	}
}

// changeConfig writes a key into its file and reloads, unlike EMQ, which forgot it at
// the next start.
func (a *api) changeConfig(w http.ResponseWriter, r *http.Request, arg map[string]string) {
	var b struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if !read(w, r, &b, "key", "value") {
		return
	}
	if app := arg["app"]; app != "emqttd" {
		cannot(w, codeUnknown, "there are settings of emqttd only")
		return
	}
	_, err := a.src.Config.Do(configuration.Request{
		Verb: configuration.Set, By: "HTTP API", Values: []configuration.Value{{Key: b.Key, Value: b.Value}},
	})
	if err != nil {
		cannot(w, codeUnknown, err.Error())
		return
	}
	writeResult(w, nothing)
}

// userRow is a user as EMQ's dashboard has them.
type userRow struct {
	Username string `json:"username"`
	Tags     string `json:"tags"`
}

func (a *api) users(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	rows := []userRow{}
	for _, u := range a.src.Operators.Users() {
		rows = append(rows, userRow{u.Name, u.Tags})
	}
	writeResult(w, rows)
}

func (a *api) user(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	u, ok := a.src.Operators.User(arg["name"])
	if !ok {
		writeResult(w, nothing)
		return
	}
	writeResult(w, userRow{u.Name, u.Tags})
}

func (a *api) addUser(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	var b struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Tags     string `json:"tags"`
	}
	if read(w, r, &b, "username", "password", "tags") {
		a.changedUser(w, a.src.Operators.Add(r.Context(), b.Username, b.Password, b.Tags))
	}
}

func (a *api) tagUser(w http.ResponseWriter, r *http.Request, arg map[string]string) {
	var b struct {
		Tags string `json:"tags"`
	}
	if read(w, r, &b, "tags") {
		a.changedUser(w, a.src.Operators.SetTags(arg["name"], b.Tags))
	}
}

func (a *api) removeUser(w http.ResponseWriter, _ *http.Request, arg map[string]string) {
	a.changedUser(w, a.src.Operators.Delete(arg["name"]))
}

func (a *api) changePassword(w http.ResponseWriter, r *http.Request, arg map[string]string) {
	var b struct {
		From string `json:"old_pwd"`
		To   string `json:"new_pwd"`
	}
	if !read(w, r, &b, "old_pwd", "new_pwd") || a.mustWait(w, r, arg["name"]) {
		return
	}
	err := a.src.Operators.Change(r.Context(), arg["name"], b.From, b.To)
	if errors.Is(err, operators.ErrDenied) {
		a.backoff.Failed(peer(r), arg["name"])
	}
	a.changedUser(w, err)
}

func (a *api) changedUser(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		writeResult(w, nothing)
	case errors.Is(err, operators.ErrExists):
		cannot(w, codeUserExists, err.Error())
	case errors.Is(err, operators.ErrNone):
		cannot(w, codeNoUser, err.Error())
	case errors.Is(err, operators.ErrDefault):
		cannot(w, codeAdmin, err.Error())
	case errors.Is(err, operators.ErrDenied):
		cannot(w, codeOldPassword, err.Error())
	case errors.Is(err, context.Canceled):
	default:
		cannot(w, codeUnknown, err.Error())
	}
}

// auth tells whether a password is right, to those who do not have another one.
func (a *api) auth(w http.ResponseWriter, r *http.Request) {
	var b struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if !read(w, r, &b, "username", "password") || a.mustWait(w, r, b.Username) {
		return
	}
	if b.Username == "" || b.Password == "" {
		cannot(w, codeEmpty, "user name or password is empty")
		return
	}
	switch _, err := a.src.Operators.Check(r.Context(), b.Username, b.Password, isHere(r)); {
	case err == nil:
		a.backoff.Succeeded(peer(r), b.Username)
		writeResult(w, nothing)
	case errors.Is(err, operators.ErrDenied), errors.Is(err, operators.ErrShipped):
		a.backoff.Failed(peer(r), b.Username)
		cannot(w, codeCredentials, "user name or password wrong")
	default:
		writeFailure(w, http.StatusServiceUnavailable, codeCredentials, "authentication is not available")
	}
}
