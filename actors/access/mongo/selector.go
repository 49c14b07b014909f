package mongo

import (
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"emqttd/actors/access/template"
)

// selector finds documents: each of its fields must be equal to its text. Fields
// come from the configuration only, and what a client says is always a text, which
// no operator of MongoDB's can be in.
type selector []condition

type condition struct {
	field string
	value template.Template
}

// parseSelector reads field=value,field=value, where a value may have placeholders.
func parseSelector(text string) (selector, error) {
	var s selector
	for part := range strings.SplitSeq(text, ",") {
		field, value, ok := strings.Cut(part, "=")
		field, value = strings.TrimSpace(field), strings.TrimSpace(value)
		switch {
		case !ok || field == "" || value == "":
			return nil, fmt.Errorf("%q is not field=value", part)
		case strings.HasPrefix(field, "$"):
			return nil, fmt.Errorf("%q is an operator, not a field", field)
		}
		s = append(s, condition{field, template.Parse(value, template.Identity)})
	}
	return s, nil
}

func parseSelectors(texts []string) ([]selector, error) {
	if len(texts) == 0 {
		return nil, errors.New("no selector")
	}
	all := make([]selector, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = parseSelector(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fill is the query for a client; false when a value is undefined that it needs.
func (s selector) fill(v *template.Values) (bson.D, bool) {
	d := make(bson.D, len(s))
	for i, c := range s {
		value, ok := c.value.Fill(v, nil)
		if !ok {
			return nil, false
		}
		d[i] = bson.E{Key: c.field, Value: value}
	}
	return d, true
}

// fillAny is the query for documents that one of the selectors finds, leaving out
// those that need what a client does not say; false when none is left.
func fillAny(all []selector, v *template.Values) (bson.D, bool) {
	var filled bson.A
	for _, s := range all {
		if d, ok := s.fill(v); ok {
			filled = append(filled, d)
		}
	}
	switch len(filled) {
	case 0:
		return nil, false
	case 1:
		return filled[0].(bson.D), true
	}
	return bson.D{{Key: "$or", Value: filled}}, true
}
