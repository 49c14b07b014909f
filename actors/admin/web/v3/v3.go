// Package v3 is /api/v3: what operators' programs and the dashboard ask of a node. It describes itself as OpenAPI 3.1 at
// /api/v3/openapi.json, which /api/v3/docs shows to people; errors are problems of RFC 9457.
//
// The handlers are thin: they ask admin.Sources, whose rows they answer with. Who asks is decided before (package web)
// and in the context; each operation says which role it needs.
package v3

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// Prefix is where the API is.
const Prefix = "/api/v3/"

//go:embed docs.html
var viewer []byte

// api answers for one node.
type api struct {
	huma.API
	src *admin.Sources
}

// New returns what serves the paths below Prefix. Requests must have an operator (WithOperator).
func New(src *admin.Sources) http.Handler {
	router := chi.NewMux()
	router.NotFound(func(w http.ResponseWriter, _ *http.Request) { WriteProblem(w, http.StatusNotFound, "no such path") })
	router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		WriteProblem(w, http.StatusMethodNotAllowed, "method not allowed")
	})
	c := huma.DefaultConfig("emqttd", src.Version)
	c.Info.Description = "Administration of an emqttd node. Lists come in pages: ask again with the cursor that next has, until there is none."
	c.Servers = []*huma.Server{{URL: strings.TrimSuffix(Prefix, "/")}}
	c.CreateHooks = nil // no $schema in answers
	c.DocsPath, c.SchemasPath = "", ""
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic", Description: "A user and his password, or the identifier of an API key and its secret."},
		"bearer": {Type: "http", Scheme: "bearer", Description: "The identifier of an API key, a dot, and its secret."},
	}
	c.Security = []map[string][]string{{"basic": {}}, {"bearer": {}}}
	a := &api{API: humachi.New(router, c), src: src}
	a.UseMiddleware(a.needsRole)
	a.register()
	router.Get("/docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		_, _ = w.Write(viewer) // the client is gone; there is nobody to tell
	})
	return normal(router)
}

// names are those prefixes behind which a raw slash belongs to a name, and how many parts stand before it.
var names = []struct {
	prefix string
	parts  int
}{{"users/", 1}, {"clientids/", 1}, {"banned/", 2}, {"routes/", 1}, {"actors/tree/", 2}, {"actors/one/", 2}}

// normal has the router see each name as one part of the path, and nothing before it.
func normal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.EscapedPath(), Prefix)
		for _, n := range names {
			if parts := strings.SplitN(path, "/", n.parts+1); strings.HasPrefix(path, n.prefix) && len(parts) == n.parts+1 {
				parts[n.parts] = strings.ReplaceAll(parts[n.parts], "/", "%2F")
				path = strings.Join(parts, "/")
			}
		}
		u := *r.URL
		u.RawPath = "/" + path
		inner := r.Clone(r.Context())
		inner.URL = &u
		next.ServeHTTP(w, inner)
	})
}

type operatorKey struct{}

// WithOperator says who asks.
func WithOperator(ctx context.Context, who operators.Who) context.Context {
	return context.WithValue(ctx, operatorKey{}, who)
}

func operator(ctx context.Context) operators.Who {
	who, _ := ctx.Value(operatorKey{}).(operators.Who)
	return who
}

// roleKey is where an operation says which role it needs.
const roleKey = "role"

func (a *api) needsRole(ctx huma.Context, next func(huma.Context)) {
	need, _ := ctx.Operation().Metadata[roleKey].(operators.Role)
	if need == 0 || operator(ctx.Context()).Role < need {
		WriteProblem(writer(ctx), http.StatusForbidden, "this needs the role "+need.String())
		return
	}
	next(ctx)
}

func writer(ctx huma.Context) http.ResponseWriter {
	_, w := humachi.Unwrap(ctx)
	return w
}

// WriteProblem answers with a problem of RFC 9457.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		panic(err) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
}

// op describes an operation: GET /clients and the like, under a heading, for a role.
func op(tag string, role operators.Role, method, path, id, summary string, errors ...int) huma.Operation {
	o := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		Metadata: map[string]any{roleKey: role}, Errors: append(errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests),
	}
	o.Description = "Needs the role " + role.String() + "."
	return o
}

// body is an answer with a body.
type body[T any] struct{ Body T }

// answer is the body of an answer.
func answer[T any](v T) (*body[T], error) { return &body[T]{v}, nil }

// register enters all operations.
func (a *api) register() {
	a.registerNode()
	a.registerClients()
	a.registerTopics()
	a.registerMessages()
	a.registerActors()
	a.registerAccess()
	a.registerOperators()
	a.registerConfig()
	a.registerEvents()
}
