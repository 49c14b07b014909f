package admin

import (
	"encoding/json"
	"strings"
)

// lineFor is what prints a row: line, or its JSON if that is asked for.
func lineFor[T any](r *Request, line func(*strings.Builder, T)) func(*strings.Builder, T) {
	if !r.JSON {
		return line
	}
	return func(b *strings.Builder, row T) { writeJSON(b, row) }
}

// one prints a single thing: line, or its JSON if that is asked for.
func one[T any](r *Request, v T, line func(*strings.Builder, T)) Result {
	var b strings.Builder
	lineFor(r, line)(&b, v)
	return Result{Text: b.String(), formatted: true}
}

func writeJSON(b *strings.Builder, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // our own types always encode
	}
}

// Figures are named numbers which keep their order in JSON: an object.
type Figures []Stat

// MarshalJSON implements json.Marshaler.
func (f Figures) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, s := range f {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(s.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(s.Value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// wrapped is the JSON of what a command said in words.
func wrapped(res Result) Result {
	text := strings.TrimSuffix(res.Text, "\n")
	var b strings.Builder
	switch {
	case res.ExitCode != ExitOK:
		writeJSON(&b, map[string]string{"error": text})
	case text == "":
		writeJSON(&b, map[string]string{"result": "ok"})
	default:
		writeJSON(&b, map[string]string{"result": text})
	}
	res.Text, res.formatted = b.String(), true
	return res
}
