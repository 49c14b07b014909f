package web

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"emqttd/actors/admin"
	"emqttd/actors/admin/operators"
)

// Question is a request below /api/v2 for another node. Who asks was let in by the node that got it.
type Question struct {
	Method string
	Path   string // below /api/v2/, escaped
	Query  string
	Body   []byte
	Who    operators.Who
}

// Told answers a Question.
type Told struct {
	Status int
	Body   []byte // JSON
}

// Others are the other nodes of the cluster.
type Others interface {
	// Nodes are the names of those that run, this one among them.
	Nodes() []string
	// Ask has another node answer. It fails if that is not there, or does not answer before ctx is over.
	Ask(ctx context.Context, node string, q *Question) (*Told, error)
}

// Answer answers what another node was asked about this one.
func Answer(ctx context.Context, src *admin.Sources, q *Question) *Told {
	w := &sheet{header: http.Header{}, told: Told{Status: http.StatusOK}}
	r, err := http.NewRequestWithContext(ctx, q.Method, "/api/v2/"+q.Path+"?"+q.Query, bytes.NewReader(q.Body))
	if err != nil {
		writeFailure(w, http.StatusBadRequest, codeParams, "bad escape in the path")
		return &w.told
	}
	(&api{src: src}).route(w, r, q.Who, q.Path)
	return &w.told
}

// sheet is what an answer for another node is written on.
type sheet struct {
	header http.Header
	told   Told
}

func (s *sheet) Header() http.Header    { return s.header }
func (s *sheet) WriteHeader(status int) { s.told.Status = status }

func (s *sheet) Write(b []byte) (int, error) {
	s.told.Body = append(s.told.Body, b...)
	return len(b), nil
}

// otherTime bounds how long a request waits for another node: less than the server's own limit.
const otherTime = 50 * time.Second

// relay has another node answer the request.
func (a *api) relay(w http.ResponseWriter, r *http.Request, who operators.Who, node string) {
	if a.others == nil || !slices.Contains(a.others.Nodes(), node) {
		writeFailure(w, http.StatusNotFound, codeRPC, "no such node")
		return
	}
	var body bytes.Buffer
	switch _, err := body.ReadFrom(r.Body); {
	case tooLarge(err):
		writeTooLarge(w)
		return
	case err != nil:
		writeFailure(w, http.StatusBadRequest, codeParams, "the body cannot be read")
		return
	}
	told, err := a.askOther(r.Context(), node, &Question{
		Method: r.Method, Path: strings.TrimPrefix(r.URL.EscapedPath(), "/api/v2/"), Query: r.URL.RawQuery, Body: body.Bytes(), Who: who,
	})
	if err != nil {
		writeFailure(w, http.StatusBadGateway, codeRPC, "the node does not answer: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(told.Status)
	_, _ = w.Write(told.Body) // the client is gone; there is nobody to tell
}

func (a *api) askOther(ctx context.Context, node string, q *Question) (*Told, error) {
	ctx, cancel := context.WithTimeout(ctx, otherTime)
	defer cancel()
	return a.others.Ask(ctx, node, q)
}

// everywhere asks all nodes for what each says at path/its name, and calls row with it in the order of their names. One
// that does not answer in time has no row.
func (a *api) everywhere(r *http.Request, path string, here any, row func(node string, result any)) {
	results := map[string]any{a.src.Node: here}
	if a.others != nil {
		maps.Copy(results, a.othersAt(r.Context(), path))
	}
	for _, node := range slices.Sorted(maps.Keys(results)) {
		row(node, results[node])
	}
}

func (a *api) othersAt(ctx context.Context, path string) map[string]any {
	type answer struct {
		node   string
		result json.RawMessage
	}
	nodes := slices.DeleteFunc(slices.Clone(a.others.Nodes()), func(n string) bool { return n == a.src.Node })
	answers := make(chan answer, len(nodes))
	for _, node := range nodes {
		go func() {
			var body struct{ Result json.RawMessage }
			told, err := a.askOther(ctx, node, &Question{
				Method: http.MethodGet, Path: path + "/" + url.PathEscape(node), Who: operators.Who{Role: operators.Viewer},
			})
			if err == nil && told.Status == http.StatusOK && json.Unmarshal(told.Body, &body) == nil {
				answers <- answer{node, body.Result}
				return
			}
			answers <- answer{node: node}
		}()
	}
	results := map[string]any{}
	for range nodes {
		if x := <-answers; x.result != nil {
			results[x.node] = x.result
		}
	}
	return results
}
