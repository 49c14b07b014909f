package v3

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin/operators"
	"emqttd/actors/configuration"
	"emqttd/config"
)

// newValues are what keys are to be.
type newValues struct {
	Values []newValue `json:"values" minItems:"1" maxItems:"100"`
}

type newValue struct {
	Key   string `json:"key" minLength:"1"`
	Value string `json:"value"`
}

// configOutcome is what became of a change; Outcome is the name of another schema.
type configOutcome configuration.Outcome

// checked is what was found in the files.
type checked struct {
	OK       bool             `json:"ok" doc:"A reload would be accepted, if no part of the node refuses a value."`
	Errors   []config.Problem `json:"errors"`
	Warnings []config.Problem `json:"warnings"`
}

func (a *api) registerConfig() {
	const tag = "config"
	owner := a.src.Config
	huma.Register(a, op(tag, operators.Viewer, http.MethodGet, "/config", "getConfig", "The settings in force, when a change of each is, and what waits for a restart; without secrets"),
		func(_ context.Context, in *struct {
			Prefix string `query:"prefix" doc:"The first words of keys, such as mqtt.session."`
		},
		) (*body[page[configuration.Row]], error) {
			return whole(owner.Settings(in.Prefix))
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodPut, "/config", "setConfig", "Write keys into their files, and reload; all of them or none", 409, 422),
		func(ctx context.Context, in *body[newValues]) (*body[configOutcome], error) {
			var values []configuration.Value
			for _, v := range in.Body.Values {
				values = append(values, configuration.Value(v))
			}
			return a.changeConfig(ctx, configuration.Request{Verb: configuration.Set, Values: values})
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodPost, "/config/check", "checkConfig", "Say what is wrong with the files"),
		func(context.Context, *struct{}) (*body[checked], error) {
			p := owner.Check("")
			return answer(checked{len(p.Errors) == 0, append([]config.Problem{}, p.Errors...), append([]config.Problem{}, p.Warnings...)})
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodPost, "/config/reload", "reloadConfig", "Read the files again; a mistake in them changes nothing", 409, 422),
		func(ctx context.Context, _ *struct{}) (*body[configOutcome], error) {
			return a.changeConfig(ctx, configuration.Request{Verb: configuration.Reload})
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodGet, "/config/history", "listConfigs", "What configurations there were, the newest first"),
		func(context.Context, *struct{}) (*body[page[configuration.Entry]], error) {
			return whole(owner.History())
		})
	huma.Register(a, op(tag, operators.Admin, http.MethodPost, "/config/rollback/{number}", "rollbackConfig", "Write the files back as they were, and reload", 404, 409, 422),
		func(ctx context.Context, in *struct {
			Number int `path:"number" minimum:"1"`
		},
		) (*body[configOutcome], error) {
			return a.changeConfig(ctx, configuration.Request{Verb: configuration.Rollback, Number: in.Number})
		})
}

// changeConfig has the node's configuration changed, for the one who asks.
func (a *api) changeConfig(ctx context.Context, r configuration.Request) (*body[configOutcome], error) {
	r.By = "HTTP API, " + operator(ctx).Name
	out, err := a.src.Config.Do(r)
	if err != nil {
		return nil, configError(err)
	}
	return answer(configOutcome(out))
}

// configError has each mistake of the files for itself.
func configError(err error) error {
	var wrong *config.Invalid
	var one *config.Problem
	switch {
	case errors.Is(err, configuration.ErrNoEntry):
		return huma.Error404NotFound(err.Error())
	case errors.As(err, &one):
		return huma.Error422UnprocessableEntity(one.String())
	case errors.As(err, &wrong):
		var details []error
		for _, p := range wrong.Problems {
			details = append(details, &huma.ErrorDetail{Location: p.Where, Message: p.String()})
		}
		return huma.Error422UnprocessableEntity("the configuration has mistakes; nothing has changed", details...)
	}
	return huma.Error409Conflict(err.Error())
}
