package web

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/tests/fakenode"
)

// TestWhatDiffersFromEMQIsWrittenDown asks what each row of docs/compat.md names, and compares the answer with the row.
func TestWhatDiffersFromEMQIsWrittenDown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "compat.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## HTTP\n")
	asked := map[string]struct {
		kind, body string
		edit       func(*http.Request)
	}{
		"GET /":                                         {edit: anybody},
		"POST /mqtt/publish without a topic":            {kind: form, body: "message=x"},
		"POST /mqtt/publish without a message":          {kind: form, body: "topic=a"},
		"POST /mqtt/publish with wrong credentials":     {kind: form, body: "topic=a&message=x", edit: as("joe", "wrong")},
		"POST /api/v2/mqtt/publish without a payload":   {kind: jsonBody, body: `{"topic":"a"}`},
		"POST /api/v2/mqtt/publish of what is not JSON": {kind: jsonBody, body: "topic=a"},
		"POST /api/v2/mqtt/subscribe to a/#":            {kind: jsonBody, body: `{"client_id":"c1","topic":"a/#"}`},
		"PUT /api/v2/configs/emqttd":                    {kind: jsonBody, body: `{"key":"a","value":"b"}`},
		"GET /api/v2/users with the role viewer":        {edit: as("viewer", "pw")},
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\S+) (\\S+?)`([^|]*) \\|.*?\\| [^|]*?`([^|]+?)`[^|]*\\|[^|]*\\|$").FindAllStringSubmatch(part, -1)
	for _, row := range rows {
		name := row[1] + " " + row[2] + strings.ReplaceAll(row[3], "`", "")
		q, known := asked[name]
		if !known {
			t.Errorf("docs/compat.md names %q, which no test asks for", name)
			continue
		}
		delete(asked, name)
		f := fakenode.New()
		if err := f.Operators.Add(context.Background(), "viewer", "pw", "viewer"); err != nil {
			t.Fatal(err)
		}
		if q.edit == nil {
			q.edit = func(*http.Request) {}
		}
		code, body := call(t, f.Sources(), row[1], row[2], q.kind, q.body, q.edit)
		if !strings.Contains(fmt.Sprintf("%d %s", code, body), row[4]) {
			t.Errorf("%s: docs/compat.md promises %q, it answers %d %s", name, row[4], code, body)
		}
	}
	for name := range asked {
		t.Errorf("docs/compat.md does not name %q", name)
	}
}
