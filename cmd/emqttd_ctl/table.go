package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table prints JSON objects, one a line as the node sends them, as a table. The widths of the columns are those of the
// first page, so that a million rows need not be kept; what is longer later moves its line.
type table struct {
	out     io.Writer
	columns []string
	widths  []int
}

// maxColumns is from how many fields on an object is printed field by field.
const maxColumns = 14

// field is one of an object, in the order of the text.
type field struct{ name, value string }

// Write takes one page.
func (t *table) Write(page []byte) (int, error) {
	var rows [][]field
	for line := range bytes.Lines(page) {
		row, err := fields(line)
		if err != nil {
			return 0, fmt.Errorf("the node's answer is no JSON: %w", err)
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	for i, row := range rows {
		switch {
		case len(row) == 1 && (row[0].name == "result" || row[0].name == "error"):
			b.WriteString(row[0].value + "\n")
		case len(row) > maxColumns:
			for _, f := range row {
				fmt.Fprintf(&b, "%-32s %s\n", f.name, f.value)
			}
		default:
			if !slices.Equal(t.columns, names(row)) {
				t.head(&b, rows[i:])
			}
			for j, f := range row {
				cell(&b, f.value, t.widths[j], j == len(row)-1)
			}
		}
	}
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return 0, err
	}
	return len(page), nil
}

// head prints the names of the columns, as wide as the rows that follow and have the same.
func (t *table) head(b *strings.Builder, rows [][]field) {
	t.columns = names(rows[0])
	t.widths = make([]int, len(t.columns))
	for i, name := range t.columns {
		t.widths[i] = utf8.RuneCountInString(name)
	}
	for _, row := range rows {
		if !slices.Equal(t.columns, names(row)) {
			break
		}
		for i, f := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(f.value))
		}
	}
	for i, name := range t.columns {
		cell(b, strings.ToUpper(name), t.widths[i], i == len(t.columns)-1)
	}
}

func cell(b *strings.Builder, text string, width int, last bool) {
	b.WriteString(text)
	if last {
		b.WriteByte('\n')
		return
	}
	b.WriteString(strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0)+2))
}

func names(row []field) []string {
	list := make([]string, len(row))
	for i, f := range row {
		list[i] = f.name
	}
	return list
}

// fields reads an object in the order of its text. What is no plain value stays JSON.
func fields(line []byte) (row []field, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		} else {
			text = printable(text)
		}
		row = append(row, field{fmt.Sprint(name), text})
	}
	return row, nil
}

// printable is text with its control characters written as escapes, as the node does in plain output.
func printable(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if len(quoted) == len(s)+2 {
		return s
	}
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
