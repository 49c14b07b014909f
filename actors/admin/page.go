package admin

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	pageRows = 500 // rows asked of a source at a time: some 75 KB of text
	// pageBytes bounds the text of one Result, well below wire.MaxBody: no row begins behind half of it. Client ids, user
	// names and topics may have 64 KB each, so a number of rows alone does not bound it.
	pageBytes = 256 << 10
)

// listPage prints one page of a list source. When the rows are so long that they do not fit, it asks again for as many
// as do: only the source can tell the cursor behind them.
func listPage[T any](r *Request, list func(cursor string, limit int) ([]T, string), line func(*strings.Builder, T)) Result {
	line = lineFor(r, line)
	limit := pageRows
	for {
		rows, next := list(r.Cursor, limit)
		var b strings.Builder
		fit := 0
		for ; fit < len(rows) && (fit == 0 || b.Len() <= pageBytes/2); fit++ {
			line(&b, rows[fit])
		}
		if fit == len(rows) {
			return Result{Text: b.String(), Cursor: next, formatted: true}
		}
		limit = fit
	}
}

// slicePage prints one page of rows that are all at hand; the cursor is the index of the first.
func slicePage[T any](r *Request, rows []T, line func(*strings.Builder, T)) Result {
	line = lineFor(r, line)
	at, err := strconv.Atoi(r.Cursor)
	if r.Cursor != "" && (err != nil || at < 0) {
		return Result{Text: "Error: bad cursor\n", ExitCode: ExitFailed}
	}
	var b strings.Builder
	for ; at < len(rows); at++ {
		if b.Len() > pageBytes/2 {
			return Result{Text: b.String(), Cursor: strconv.Itoa(at), formatted: true}
		}
		line(&b, rows[at])
	}
	return Result{Text: b.String(), formatted: true}
}

// safe makes text that clients chose fit for a terminal and for one line: control characters, which MQTT allows in
// identifiers and topics, are written as Go escapes.
func safe(s string) string {
	clean := true
	for _, c := range s {
		if unsafeRune(c) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if unsafeRune(c) {
			q := strconv.QuoteRuneToASCII(c)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func unsafeRune(c rune) bool {
	return c == utf8.RuneError || unicode.IsControl(c) || unicode.Is(unicode.Cf, c)
}
