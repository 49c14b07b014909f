package redis

import (
	"fmt"
	"strconv"
	"strings"

	"emqttd/actors/access/template"
)

// command is one whose words are known before anything is filled in: a user name
// with blanks stays within its word.
type command []template.Template

func parse(text string) command {
	var c command
	for _, word := range strings.Fields(text) {
		c = append(c, template.Parse(word, template.Identity))
	}
	return c
}

// fill makes the arguments for a client; false if there is no command, or a value is
// undefined that it needs.
func (c command) fill(v *template.Values) ([]any, bool) {
	args := make([]any, len(c))
	for i, word := range c {
		text, ok := word.Fill(v, nil)
		if !ok {
			return nil, false
		}
		args[i] = text
	}
	return args, len(args) > 0
}

// key is the first word that depends on the client: the key, in every command that
// makes sense here.
func (c command) key() (template.Template, bool) {
	for _, word := range c {
		if !word.Fixed() {
			return word, true
		}
	}
	return template.Template{}, false
}

// absent is a value that is not there, as the password of a user that nobody knows.
// A stored one that looks so is taken for it, and fits no password anyway.
const absent = "\x00"

// flatten makes a list of an answer. Fields and values of a hash come by turns, which
// is how Redis before version 6 sends them.
func flatten(answer any) ([]string, error) {
	switch a := answer.(type) {
	case []any:
		values := make([]string, len(a))
		for i, v := range a {
			var err error
			if values[i], err = scalar(v); err != nil {
				return nil, err
			}
		}
		return values, nil
	case map[any]any:
		values := make([]string, 0, 2*len(a))
		for k, v := range a {
			field, err := scalar(k)
			if err != nil {
				return nil, err
			}
			value, err := scalar(v)
			if err != nil {
				return nil, err
			}
			values = append(values, field, value)
		}
		return values, nil
	}
	value, err := scalar(answer)
	return []string{value}, err
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return absent, nil
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", fmt.Errorf("the answer holds a %T, not a text", v)
}
