package v3

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin/operators"
)

// newAdmin is a user of this API that is to be made.
type newAdmin struct {
	Name     string `json:"name" minLength:"1"`
	Password string `json:"password" minLength:"1"`
	Tags     string `json:"tags,omitempty" doc:"viewer, operator or administrator: his role. With any other he may look only."`
}

// changedAdmin is what is to be changed of one.
type changedAdmin struct {
	Name string `path:"name"`
	Body struct {
		Password string  `json:"password,omitempty"`
		Tags     *string `json:"tags,omitempty"`
	}
}

// newKey is an API key that is to be made.
type newKey struct {
	Role    string  `json:"role" enum:"viewer,operator,admin"`
	Seconds float64 `json:"seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"How long it is good; 0 is for ever."`
	Note    string  `json:"note,omitempty" maxLength:"1000"`
}

// madeKey is one that was made.
type madeKey struct {
	ID     string `json:"id"`
	Secret string `json:"secret" doc:"It is shown this once."`
}

func (a *api) registerOperators() {
	const admins, keys = "admins", "apikeys"
	all := a.src.Operators
	huma.Register(a, op(admins, operators.Admin, http.MethodGet, "/admins", "listAdmins", "Who may use this API"),
		func(context.Context, *struct{}) (*body[page[operators.User]], error) { return whole(all.Users()) })
	made := op(admins, operators.Admin, http.MethodPost, "/admins", "addAdmin", "Add one", 409, 422)
	made.DefaultStatus = http.StatusCreated
	huma.Register(a, made, func(ctx context.Context, in *body[newAdmin]) (*struct{}, error) {
		return nil, operatorError(all.Add(ctx, in.Body.Name, in.Body.Password, in.Body.Tags))
	})
	huma.Register(a, op(admins, operators.Admin, http.MethodPut, "/admins/{name}", "setAdmin", "Change the password or the role of one", 404, 409, 422),
		func(ctx context.Context, in *changedAdmin) (*struct{}, error) {
			if in.Body.Password == "" && in.Body.Tags == nil {
				return nil, huma.Error422UnprocessableEntity("a password or tags are needed")
			}
			if in.Body.Tags != nil {
				if err := all.SetTags(in.Name, *in.Body.Tags); err != nil {
					return nil, operatorError(err)
				}
			}
			if in.Body.Password == "" {
				return nil, nil
			}
			return nil, operatorError(all.SetPassword(ctx, in.Name, in.Body.Password))
		})
	huma.Register(a, op(admins, operators.Admin, http.MethodDelete, "/admins/{name}", "deleteAdmin", "Delete one", 404, 409),
		func(_ context.Context, in *byName) (*struct{}, error) { return nil, operatorError(all.Delete(in.Name)) })

	huma.Register(a, op(keys, operators.Admin, http.MethodGet, "/apikeys", "listKeys", "The keys of programs"),
		func(context.Context, *struct{}) (*body[page[operators.Key]], error) { return whole(all.Keys()) })
	key := op(keys, operators.Admin, http.MethodPost, "/apikeys", "addKey", "Make a key", 422)
	key.DefaultStatus = http.StatusCreated
	huma.Register(a, key, func(_ context.Context, in *body[newKey]) (*body[madeKey], error) {
		role, err := operators.ParseRole(in.Body.Role)
		if err != nil {
			return nil, operatorError(err)
		}
		var expires *time.Time
		if in.Body.Seconds > 0 {
			at := time.Now().Add(time.Duration(in.Body.Seconds * float64(time.Second))).UTC().Truncate(time.Second)
			expires = &at
		}
		id, secret, err := all.NewKey(role, in.Body.Note, expires)
		if err != nil {
			return nil, operatorError(err)
		}
		return answer(madeKey{id, secret})
	})
	huma.Register(a, op(keys, operators.Admin, http.MethodDelete, "/apikeys/{name}", "deleteKey", "Delete a key", 404),
		func(_ context.Context, in *byName) (*struct{}, error) {
			return nil, operatorError(all.DeleteKey(in.Name))
		})
}

func operatorError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, operators.ErrExists), errors.Is(err, operators.ErrDefault):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, operators.ErrNone):
		return huma.Error404NotFound(err.Error())
	}
	return huma.Error422UnprocessableEntity(err.Error())
}
