package v3

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// newAccount is a user of MQTT that the node keeps itself, or a client.
type newAccount struct {
	Name      string `json:"name" minLength:"1"`
	Password  string `json:"password" minLength:"1"`
	Superuser bool   `json:"superuser,omitempty"`
}

// changedAccount is newAccount, but its name is in the path.
type changedAccount struct {
	Name string `path:"name"`
	Body struct {
		Name      string `json:"name,omitempty" doc:"That of the path, if at all."`
		Password  string `json:"password" minLength:"1"`
		Superuser bool   `json:"superuser,omitempty"`
	}
}

// byName names an account.
type byName struct {
	Name string `path:"name"`
}

func (a *api) registerAccess() {
	a.registerAccounts("users", "User", (*access.Chain).Users)
	a.registerAccounts("clientids", "ClientID", (*access.Chain).Clients)
	a.registerBans()
	const tag = "access"
	huma.Register(a, op(tag, operators.Admin, http.MethodPost, "/access/test", "testAccess",
		"What a client may, and which module or rule decides; what is denied is no error", 422), a.testAccess)
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/access/stats", "getAccessStats", "What the authentication modules answered"),
		func(context.Context, *struct{}) (*body[page[access.ModuleStats]], error) {
			return whole(a.src.Access.Stats())
		})
	huma.Register(a, op(tag, operators.Operator, http.MethodPut, "/acl/reload", "reloadRules", "Read the file of the access rules again", 409),
		func(context.Context, *struct{}) (*struct{}, error) {
			if err := a.src.Access.ReloadACL(); err != nil {
				return nil, huma.Error409Conflict(err.Error())
			}
			return nil, nil
		})
}

func (a *api) registerAccounts(path, name string, of func(*access.Chain) *access.Accounts) {
	accounts := func() *access.Accounts { return of(a.src.Access) }
	huma.Register(a, op(path, operators.Admin, http.MethodGet, "/"+path, "list"+name+"s", "Those of MQTT that the node keeps itself"),
		func(context.Context, *struct{}) (*body[page[access.Account]], error) { return whole(accounts().List()) })
	made := op(path, operators.Admin, http.MethodPost, "/"+path, "add"+name, "Add one", 409, 422)
	made.DefaultStatus = http.StatusCreated
	huma.Register(a, made, func(ctx context.Context, in *body[newAccount]) (*struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, admin.AccessTime)
		defer cancel()
		err := accounts().Add(ctx, in.Body.Name, []byte(in.Body.Password), in.Body.Superuser)
		return nil, accountError(err)
	})
	huma.Register(a, op(path, operators.Admin, http.MethodPut, "/"+path+"/{name}", "set"+name, "Make or replace one", 422),
		func(ctx context.Context, in *changedAccount) (*struct{}, error) {
			if in.Body.Name != "" && in.Body.Name != in.Name {
				return nil, huma.Error422UnprocessableEntity("an account cannot be renamed")
			}
			ctx, cancel := context.WithTimeout(ctx, admin.AccessTime)
			defer cancel()
			return nil, accountError(accounts().Set(ctx, in.Name, []byte(in.Body.Password), in.Body.Superuser))
		})
	huma.Register(a, op(path, operators.Admin, http.MethodDelete, "/"+path+"/{name}", "delete"+name, "Delete one; its connections end", 404, 503),
		func(_ context.Context, in *byName) (*struct{}, error) {
			found, err := accounts().Delete(in.Name)
			if err != nil {
				return nil, huma.Error503ServiceUnavailable(err.Error())
			}
			return done(found, "there is none of that name")
		})
}

// accountError gives an error its status: what is wrong is the caller's mistake unless it took too long.
func accountError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, access.ErrExists):
		return huma.Error409Conflict("there is one of that name already")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return huma.Error503ServiceUnavailable("it took too long")
	}
	return huma.Error422UnprocessableEntity(err.Error())
}

// newBan is one to be made.
type newBan struct {
	Kind    string  `json:"kind" enum:"clientid,username,peerhost"`
	Who     string  `json:"who" minLength:"1"`
	Seconds float64 `json:"seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"0 is for ever."`
	Reason  string  `json:"reason,omitempty"`
}

func (a *api) registerBans() {
	const tag = "banned"
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/banned", "listBans", "Who is banned"),
		func(context.Context, *struct{}) (*body[page[access.Ban]], error) {
			return whole(a.src.Access.Bans().List())
		})
	made := op(tag, operators.Operator, http.MethodPost, "/banned", "ban", "Ban somebody", 422)
	made.DefaultStatus = http.StatusCreated
	huma.Register(a, made, func(ctx context.Context, in *body[newBan]) (*struct{}, error) {
		b := access.Ban{Kind: access.BanKind(in.Body.Kind), Who: in.Body.Who, Reason: in.Body.Reason, By: operator(ctx).Name}
		if in.Body.Seconds > 0 {
			b.Until = time.Now().Add(time.Duration(in.Body.Seconds * float64(time.Second)))
		}
		return nil, accountError(a.src.Access.Bans().Add(b))
	})
	huma.Register(a, op(tag, operators.Operator, http.MethodDelete, "/banned/{kind}/{who}", "unban", "Lift a ban", 404, 503),
		func(_ context.Context, in *struct {
			Kind string `path:"kind" enum:"clientid,username,peerhost"`
			Who  string `path:"who"`
		},
		) (*struct{}, error) {
			found, err := a.src.Access.Bans().Remove(access.BanKind(in.Kind), in.Who)
			if err != nil {
				return nil, huma.Error503ServiceUnavailable(err.Error())
			}
			return done(found, "there is no such ban")
		})
}

// question is what a client would try.
type question struct {
	ClientID  string   `json:"clientid,omitempty"`
	Username  string   `json:"username,omitempty"`
	Password  *string  `json:"password,omitempty"`
	Peer      string   `json:"peer,omitempty" doc:"IP address."`
	Publish   []string `json:"publish,omitempty" maxItems:"1000"`
	Subscribe []string `json:"subscribe,omitempty" maxItems:"1000"`
}

type moduleVerdict struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Why     string `json:"why"`
}

type topicVerdict struct {
	Action string `json:"action"`
	Topic  string `json:"topic"`
	Allow  bool   `json:"allow"`
	Why    string `json:"why"`
}

type verdict struct {
	Decision  string          `json:"decision"`
	Why       string          `json:"why"`
	Username  string          `json:"username"`
	Superuser bool            `json:"superuser"`
	Modules   []moduleVerdict `json:"modules" nullable:"false"`
	Topics    []topicVerdict  `json:"topics" nullable:"false"`
}

func (a *api) testAccess(ctx context.Context, in *body[question]) (*body[verdict], error) {
	ctx, cancel := context.WithTimeout(ctx, admin.AccessTime)
	defer cancel()
	q := &in.Body
	cred := access.Credentials{ClientID: q.ClientID, Username: q.Username, Peer: q.Peer, Protocol: "mqtt"}
	if q.Password != nil {
		cred.Password = []byte(*q.Password)
	}
	report := a.src.Access.Test(ctx, &cred, q.Publish, q.Subscribe)
	out := verdict{
		Decision: report.Decision.String(), Why: report.Why, Username: report.Username, Superuser: report.Superuser,
		Modules: []moduleVerdict{}, Topics: []topicVerdict{},
	}
	for _, m := range report.Modules {
		row := moduleVerdict{m.Name, m.Verdict.String(), m.Why}
		if m.Err != nil {
			row.Verdict, row.Why = "error", m.Err.Error()
		}
		out.Modules = append(out.Modules, row)
	}
	for _, t := range report.Topics {
		if t.Err != nil {
			t.Why = t.Err.Error()
		}
		out.Topics = append(out.Topics, topicVerdict{t.Action.String(), t.Topic, t.Allow, t.Why})
	}
	return answer(out)
}
