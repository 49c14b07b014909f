package v3

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
	"emqttd/protocol/topic"
)

// message is one that an operator publishes.
type message struct {
	Topic    string `json:"topic" minLength:"1" maxLength:"65535"`
	Payload  string `json:"payload"`
	Encoding string `json:"encoding,omitempty" enum:"plain,base64" default:"plain" doc:"How the payload is written."`
	QoS      byte   `json:"qos,omitempty" maximum:"2"`
	Retain   bool   `json:"retain,omitempty"`
	ClientID string `json:"client_id,omitempty" default:"http" maxLength:"65535" doc:"Whom it is said to come from."`
}

// subscription is one that an operator makes for a session, or ends.
type subscription struct {
	ClientID string `json:"client_id" minLength:"1"`
	Topic    string `json:"topic" minLength:"1" doc:"As a client would write it: $share/<group>/ and $local/ included."`
	QoS      byte   `json:"qos,omitempty" maximum:"2"`
}

// ended is a subscription that is ended.
type ended struct {
	ClientID string `json:"client_id" minLength:"1"`
	Topic    string `json:"topic" minLength:"1"`
}

// many are several of one kind.
type many[T any] struct {
	Items []T `json:"items" minItems:"1" maxItems:"1000" nullable:"false"`
}

// outcome is how one of many went.
type outcome struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (a *api) registerMessages() {
	const tag = "messages"
	one(a, tag, "/publish", "publish", "Publish a message", a.publish)
	one(a, tag, "/subscribe", "subscribe", "Subscribe for a session", func(s *subscription) error {
		return a.src.Subscribe(s.ClientID, s.Topic, s.QoS)
	})
	one(a, tag, "/unsubscribe", "unsubscribe", "End a subscription of a session", func(s *ended) error {
		return a.src.Unsubscribe(s.ClientID, s.Topic)
	})
}

// one registers an operation on one thing, and the same on many at <path>/bulk, whose answer has an outcome for each.
func one[T any](a *api, tag, path, id, summary string, do func(*T) error) {
	o := op(tag, operators.Operator, http.MethodPost, path, id, summary, 400, 404, 413, 422, 503)
	o.DefaultStatus = http.StatusNoContent
	huma.Register(a, o, func(_ context.Context, in *body[T]) (*struct{}, error) {
		if err := do(&in.Body); err != nil {
			return nil, refusal(err)
		}
		return nil, nil
	})
	huma.Register(a, op(tag, operators.Operator, http.MethodPost, path+"/bulk", id+"Bulk", summary+"; up to a thousand at a time", 400, 413, 422),
		func(ctx context.Context, in *body[many[T]]) (*body[page[outcome]], error) {
			out := make([]outcome, len(in.Body.Items))
			for i := range in.Body.Items {
				if ctx.Err() != nil {
					return nil, ctx.Err() // nobody waits any more
				}
				if err := do(&in.Body.Items[i]); err != nil {
					out[i].Error = err.Error()
				} else {
					out[i].OK = true
				}
			}
			return whole(out)
		})
}

var errPayload = errors.New("the payload is not base64")

func (a *api) publish(m *message) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return err
	}
	payload := []byte(m.Payload)
	if m.Encoding == "base64" {
		var err error
		if payload, err = base64.StdEncoding.DecodeString(m.Payload); err != nil {
			return errPayload
		}
	}
	return a.src.Publish(admin.PublishRequest{ClientID: m.ClientID, Topic: m.Topic, Payload: payload, QoS: m.QoS, Retain: m.Retain})
}

// refusal gives an error its status.
func refusal(err error) error {
	switch {
	case errors.Is(err, admin.ErrNoSession):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, admin.ErrTooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, admin.ErrUnsafe):
		return huma.Error503ServiceUnavailable(err.Error())
	}
	return huma.Error422UnprocessableEntity(err.Error())
}
