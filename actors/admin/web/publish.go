package web

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"emqttd/actors/admin"
	"emqttd/protocol/topic"
)

// maxTopic is the longest topic in bytes that EMQ's HTTP API takes.
const maxTopic = 4096

// publish is POST /mqtt/publish of EMQ 2.0 – 2.2: a form, or JSON with the same names.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	who, ok := a.admitPublisher(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	fields, err := publishFields(r)
	switch {
	case tooLarge(err):
		writeTooLarge(w)
		return
	case err != nil:
		writeFailure(w, http.StatusBadRequest, codeNotJSON, err.Error())
		return
	}
	req, names, problem := fields.request()
	if problem != "" {
		writeText(w, http.StatusBadRequest, problem)
		return
	}
	for _, name := range names {
		if !who.may(name) {
			a.refuse(w, r, http.StatusForbidden, "the access rules do not let you publish to "+name)
			return
		}
	}
	for _, name := range names {
		// Each message owns its payload; the receiver may keep it.
		req.Topic, req.Payload = name, []byte(*fields.Message)
		switch err := a.src.Publish(req); {
		case errors.Is(err, admin.ErrTooLarge):
			writeFailure(w, http.StatusRequestEntityTooLarge, codeParams, err.Error())
			return
		case err != nil:
			writeFailure(w, http.StatusServiceUnavailable, codeUnknown, err.Error())
			return
		}
	}
	writeText(w, http.StatusOK, "ok")
}

// fields are the parameters as they came. EMQ's clients send numbers, digits in quotes and booleans alike.
type fields struct {
	Topic   string  `json:"topic"`
	Topics  string  `json:"topics"`
	Message *string `json:"message"`
	QoS     scalar  `json:"qos"`
	Retain  scalar  `json:"retain"`
	Client  string  `json:"client"`
}

// scalar is a JSON number, string or boolean as text; true is 1.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(b []byte) error {
	switch text := string(b); {
	case text == "true":
		*s = "1"
	case text == "false":
		*s = "0"
	case text == "null":
	case strings.HasPrefix(text, `"`):
		var inner string
		if err := json.Unmarshal(b, &inner); err != nil {
			return err
		}
		*s = scalar(inner)
	case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
		return errors.New("want a number")
	default:
		*s = scalar(text)
	}
	return nil
}

func publishFields(r *http.Request) (*fields, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, errors.New("bad Content-Type")
	}
	f := new(fields)
	if kind == "application/json" {
		if err := json.NewDecoder(r.Body).Decode(f); err != nil {
			if tooLarge(err) {
				return nil, err
			}
			return nil, errors.New("body not JSON")
		}
		return f, nil
	}
	if err := r.ParseForm(); err != nil {
		if tooLarge(err) {
			return nil, err
		}
		return nil, errors.New("body is not a form")
	}
	f.Topic, f.Topics, f.Client = r.PostForm.Get("topic"), r.PostForm.Get("topics"), r.PostForm.Get("client")
	f.QoS, f.Retain = scalar(r.PostForm.Get("qos")), scalar(r.PostForm.Get("retain"))
	if r.PostForm.Has("message") {
		m := r.PostForm.Get("message")
		f.Message = &m
	}
	return f, nil
}

// request checks the fields; problem is EMQ's text for what is wrong, and then nothing is published.
func (f *fields) request() (req admin.PublishRequest, names []string, problem string) {
	var ok bool
	if req.QoS, ok = admin.ParseQoS(orDefault(string(f.QoS), "0")); !ok {
		return req, nil, "Bad QoS"
	}
	switch orDefault(string(f.Retain), "0") {
	case "1":
		req.Retain = true
	case "0":
	default:
		return req, nil, "Bad Retain"
	}
	if f.Topic != "" {
		names = append(names, f.Topic)
	}
	if f.Topics != "" {
		names = append(names, strings.Split(f.Topics, ",")...)
	}
	for _, name := range names {
		if len(name) > maxTopic || topic.CheckName(name) != nil {
			return req, nil, "Bad Topics"
		}
	}
	if len(names) == 0 {
		return req, nil, "Bad Topics"
	}
	if f.Message == nil {
		return req, nil, "Bad Message"
	}
	req.ClientID = orDefault(f.Client, "http")
	return req, names, ""
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
