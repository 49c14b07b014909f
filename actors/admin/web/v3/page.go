package v3

import (
	"encoding/base64"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Paging are the parameters of a list.
type Paging struct {
	Cursor string `query:"cursor" doc:"Where the page begins: next of the page before. Without it, the first page."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most rows of a page. One in which few rows match may be shorter, or empty, before the end."`
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; not there on the last one."`
}

// maxScan bounds the rows that are looked at for one page: some 10 ms.
const maxScan = 4000

// list makes a page of those rows of a source that match. name is that of the list, so that a cursor of another one is
// noticed.
func list[T any](p *Paging, name string, source func(cursor string, limit int) ([]T, string), match func(*T) bool) (*body[page[T]], error) {
	cursor, err := readCursor(name, p.Cursor)
	if err != nil {
		return nil, err
	}
	out := page[T]{Items: []T{}}
	for scanned := 0; ; {
		rows, next := source(cursor, p.Limit-len(out.Items))
		scanned += len(rows)
		for i := range rows {
			if match == nil || match(&rows[i]) {
				out.Items = append(out.Items, rows[i])
			}
		}
		cursor = next
		if next == "" || match == nil || len(out.Items) >= p.Limit || scanned >= maxScan || len(rows) == 0 {
			break
		}
	}
	if cursor != "" {
		out.Next = base64.RawURLEncoding.EncodeToString([]byte(name + "\x00" + cursor))
	}
	return answer(out)
}

func readCursor(name, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	cursor, ok := strings.CutPrefix(string(raw), name+"\x00")
	if err != nil || !ok {
		return "", huma.Error422UnprocessableEntity("not a cursor of this list", &huma.ErrorDetail{Location: "query.cursor", Value: text})
	}
	return cursor, nil
}

// whole makes a list of rows that are all at hand.
func whole[T any](rows []T) (*body[page[T]], error) {
	if rows == nil {
		rows = []T{}
	}
	return answer(page[T]{Items: rows})
}
