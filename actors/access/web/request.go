package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"emqttd/actors/access"
	"emqttd/actors/access/template"
)

// Request is one question to a service.
type Request struct {
	URL    string // "" is not asked
	Method string // get sends the parameters in the URL, post and put in the body
	// Params are name=value; a value may have %u, %c, %a, %P and, of the question
	// about rules, %A and %t.
	Params []string
}

// request is a Request that was checked.
type request struct {
	url    *url.URL
	method string
	params []param
	json   bool
}

type param struct {
	name  string
	value template.Template
}

// known are the placeholders of requests.
const known = template.Identity + "PAt"

// parse returns nil for a request that is not asked.
func parse(r Request, asJSON bool) (*request, error) {
	if r.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, errors.New("is not a URL") // the error would show a password in it
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("is not a URL of http or https")
	}
	parsed := &request{url: u, json: asJSON}
	switch strings.ToUpper(r.Method) {
	case "", http.MethodPost:
		parsed.method = http.MethodPost
	case http.MethodGet:
		parsed.method = http.MethodGet
	case http.MethodPut:
		parsed.method = http.MethodPut
	default:
		return nil, fmt.Errorf("method %q is not get, post or put", r.Method)
	}
	for _, p := range r.Params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("parameter %q is not name=value", p)
		}
		parsed.params = append(parsed.params, param{strings.TrimSpace(name), template.Parse(strings.TrimSpace(value), known)})
	}
	return parsed, nil
}

// uses tells whether a parameter has the placeholder.
func (r *request) uses(placeholder byte) bool {
	for _, p := range r.params {
		if p.value.Uses(placeholder) {
			return true
		}
	}
	return false
}

// build makes the request of HTTP. Values are encoded as form or JSON; an undefined
// one is empty.
func (r *request) build(ctx context.Context, v *template.Values, header http.Header) (*http.Request, error) {
	u, body, kind := *r.url, []byte(nil), ""
	switch {
	case r.method == http.MethodGet:
		query := r.form(v).Encode()
		if u.RawQuery != "" && query != "" {
			query = u.RawQuery + "&" + query
		}
		u.RawQuery = query
	case r.json:
		object := make(map[string]string, len(r.params))
		for _, p := range r.params {
			object[p.name], _ = p.value.Fill(v, nil)
		}
		var err error
		if body, err = json.Marshal(object); err != nil {
			return nil, err
		}
		kind = "application/json"
	default:
		body, kind = []byte(r.form(v).Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make the request") // the error would show the parameters
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}

func (r *request) form(v *template.Values) url.Values {
	form := make(url.Values, len(r.params))
	for _, p := range r.params {
		value, _ := p.value.Fill(v, nil)
		form.Add(p.name, value)
	}
	return form
}

// answer is what a service says.
type answer struct {
	verdict access.Verdict
	super   bool
}

// maxAnswer is how much of an answer is read; the word that counts is short.
const maxAnswer = 64 << 10

// ask sends the request. Errors hold neither parameters nor headers: in a URL of GET
// the password is one of them.
func (m *Module) ask(ctx context.Context, key string, r *request, v *template.Values, header http.Header) (answer, error) {
	req, err := r.build(ctx, v, header)
	if err != nil {
		return answer{}, fmt.Errorf("http: %s: %w", key, err)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		var shown *url.Error
		if errors.As(err, &shown) {
			err = shown.Err
		}
		return answer{}, fmt.Errorf("http: %s: %s: %w", key, r.url.Host, err)
	}
	defer func() { _ = resp.Body.Close() }() // what it said is all that matters
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("http: %s: %s: %w", key, r.url.Host, err)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return answer{}, fmt.Errorf("http: %s: %s answers %d", key, r.url.Host, resp.StatusCode)
	}
	return judge(resp.StatusCode, resp.Header.Get("Content-Type"), body), nil
}

// judge reads an answer as EMQ did: 200 allows, unless the body is the word ignore,
// and all else denies. A body of JSON with the key result, as EMQ's successors have
// it, says allow, deny or ignore by that word.
func judge(status int, kind string, body []byte) answer {
	if status != http.StatusOK {
		return answer{verdict: access.Deny}
	}
	if string(bytes.TrimSpace(body)) == "ignore" {
		return answer{verdict: access.Ignore}
	}
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
		return answer{verdict: access.Allow}
	}
	var said struct {
		Result *string `json:"result"`
		Super  bool    `json:"is_superuser"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Result == nil {
		return answer{verdict: access.Allow}
	}
	switch *said.Result {
	case "allow":
		return answer{verdict: access.Allow, super: said.Super}
	case "ignore":
		return answer{verdict: access.Ignore}
	}
	return answer{verdict: access.Deny}
}
