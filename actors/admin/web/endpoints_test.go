package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"emqttd/tests/fakenode"
)

// endpoint is one entry of testdata/emq-http.txt.
type endpoint struct {
	method, path string // with names in braces
	words        string // what is special about the requests
	requests     []string
	answer       string // status and shape
}

func (e *endpoint) name() string { return strings.TrimSpace(e.method + " " + e.path + " " + e.words) }

var concrete = strings.NewReplacer("{node}", "emq@127.0.0.1", "{id}", "c1", "{name}", "admin", "{plugin}", "emq_retainer",
	"{app}", "emqttd", "{topic}", "a%2F%23")

func endpoints(t *testing.T) (list []endpoint) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "emq-http.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		var e endpoint
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			switch mark, rest, _ := strings.Cut(line, " "); mark {
			case "", "#":
			case ">":
				e.requests = append(e.requests, concrete.Replace(rest))
			case "<":
				e.answer = rest
			default:
				e.method = mark
				e.path, e.words, _ = strings.Cut(rest, " ")
			}
		}
		if e.method == "" {
			continue
		}
		if e.requests == nil {
			e.requests = []string{concrete.Replace(e.path)}
		}
		list = append(list, e)
	}
	return list
}

// documented reads the table of docs/compat.md: what ours answers, by the name of the endpoint.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "compat.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## HTTP\n")
	part, _, _ = strings.Cut(part, "\n## ")
	here := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\S+ \\S+?)`([^|]*) \\|.*?\\| [^|]*?`([^|]+?)`[^|]*\\|[^|]*\\|$").FindAllStringSubmatch(part, -1) {
		here[row[1]+strings.ReplaceAll(row[2], "`", "")] = row[3]
	}
	return here
}

// TestEachEndpointAnswersAsEMQDoes holds what ours answers against testdata/emq-http.txt, and what differs against
// docs/compat.md.
func TestEachEndpointAnswersAsEMQDoes(t *testing.T) {
	here := documented(t)
	edit := map[string]func(*http.Request){
		"POST /mqtt/publish with wrong credentials": as("joe", "wrong"),
		"GET /":       anybody,
		"GET /status": anybody, "HEAD /status": anybody,
		"GET /api/v2/routes without a password":  anybody,
		"POST /api/v2/auth":                      anybody,
		"GET /api/v2/users with the role viewer": as("viewer", "pw"),
	}
	for _, e := range endpoints(t) {
		for _, request := range e.requests {
			f := fakenode.New()
			if err := f.Operators.Add(context.Background(), "viewer", "pw", "viewer"); err != nil {
				t.Fatal(err)
			}
			f.WithFile(t)
			target, body, _ := strings.Cut(request, " ")
			kind := jsonBody
			if !strings.HasPrefix(body, "{") && !strings.HasPrefix(target, "/api") {
				kind = form
			}
			change := edit[e.name()]
			if change == nil {
				change = func(*http.Request) {}
			}
			status, got := call(t, f.Sources(), e.method, target, kind, body, change)
			why := unlike(t, e.answer, status, got)
			switch want, differs := here[e.name()]; {
			case differs && why == "":
				t.Errorf("%s: docs/compat.md says that it differs, but it does not", e.name())
			case differs && !strings.Contains(fmt.Sprintf("%d %s", status, got), want):
				t.Errorf("%s: docs/compat.md promises %q, it answers %d %s", e.name(), want, status, got)
			case !differs && why != "":
				t.Errorf("%s differs from EMQ, and docs/compat.md does not say so: %s\n%d %s", e.name(), why, status, got)
			}
		}
	}
	for name := range here {
		if !slices.ContainsFunc(endpoints(t), func(e endpoint) bool { return e.name() == name }) {
			t.Errorf("docs/compat.md names %q, which testdata/emq-http.txt does not have", name)
		}
	}
}

// TestNothingBelowV2IsUnknownToEMQ: /api/v2 is for scripts that exist; what is new has its place below /api/v3.
func TestNothingBelowV2IsUnknownToEMQ(t *testing.T) {
	known := map[string]bool{}
	for _, e := range endpoints(t) {
		known[e.method+" "+e.path] = true
	}
	for _, rt := range routesV2 {
		for _, x := range rt.actions {
			if name := x.method + " /api/v2/" + strings.ReplaceAll(rt.path, "...", ""); !known[name] {
				t.Errorf("%s is not in testdata/emq-http.txt", name)
			}
		}
	}
}

// unlike says in which way an answer is not as wanted, "" if it is.
func unlike(t *testing.T, want string, status int, got string) string {
	t.Helper()
	code, text, _ := strings.Cut(want, " ")
	var shape, value any
	if err := json.Unmarshal([]byte(text), &shape); err != nil {
		t.Fatalf("the shape %s: %v", text, err)
	}
	if code != fmt.Sprint(status) {
		return fmt.Sprintf("the status is %d, not %s", status, code)
	}
	if json.Unmarshal([]byte(got), &value) != nil {
		value = got
	}
	return differs("", shape, value)
}

var shapes = map[string]*regexp.Regexp{
	"text": regexp.MustCompile(`(?s)^.+$`),
	"time": regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`),
	"size": regexp.MustCompile(`^\d+\.\d\d[GMK]$`),
}

// differs compares a value with a shape; at is where they are.
func differs(at string, shape, value any) string {
	switch s := shape.(type) {
	case string:
		v, ok := value.(string)
		if text, literal := strings.CutPrefix(s, "="); !ok || literal && v != text || !literal && !shapes[s].MatchString(v) {
			return fmt.Sprintf("%s is %v, not %s", at, value, s)
		}
	case float64:
		v, ok := value.(float64)
		if !ok || s != 0 && v != s || at == ".code" && v != s {
			return fmt.Sprintf("%s is %v, not a number as wanted", at, value)
		}
	case bool:
		if _, ok := value.(bool); !ok {
			return fmt.Sprintf("%s is %v, not a boolean", at, value)
		}
	case []any:
		v, ok := value.([]any)
		if !ok || (len(s) == 0) != (len(v) == 0) {
			return fmt.Sprintf("%s is %v, not such an array", at, value)
		}
		for i := range v {
			if why := differs(fmt.Sprintf("%s[%d]", at, i), s[0], v[i]); why != "" {
				return why
			}
		}
	case map[string]any:
		v, ok := value.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, not an object", at, value)
		}
		return memberDiffers(at, s, v)
	}
	return ""
}

func memberDiffers(at string, shape, value map[string]any) string {
	all, any := shape["*"]
	for name := range shape {
		if _, given := value[name]; !given && name != "*" {
			return at + "." + name + " is missing"
		}
	}
	for name, v := range value {
		s, known := shape[name]
		if !known && !any {
			return at + "." + name + " is not EMQ's"
		}
		if !known {
			s = all
		}
		if why := differs(at+"."+name, s, v); why != "" {
			return why
		}
	}
	return ""
}
