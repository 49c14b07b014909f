package config

import (
	"errors"
	"fmt"
	"strings"
)

// Cause is the kind of a problem.
type Cause uint8

// The causes; the first six are errors, the others warnings.
const (
	Unreadable  Cause = iota // a file that cannot be read
	Syntax                   // a line that is not `key = value`
	UnknownKey               // a key that no version of EMQ or of ours has
	BadValue                 // not of the key's type, or out of its range
	NotSupplied              // a feature that this version does not have yet
	Conflict                 // settings that do not go together
	Duplicate                // a key that is given twice
	NoEffect                 // a key that means nothing here
)

// Problem is one thing that is wrong, or odd, in the configuration. No part of
// it repeats the value of a secret.
type Problem struct {
	// Where is `file:line`, `environment: NAME` or `flag`. Empty when it is
	// about no single setting.
	Where string
	// Key as it was written there; empty for a line without one.
	Key   string
	Cause Cause
	// Message is a sentence without the place and the key.
	Message string
	// Nearest is the known key that an unknown one is most like, or empty.
	Nearest string

	seq int // place among all settings
}

// String is the problem in one line: `file:line: key: message (did you mean "nearest"?)`.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Key} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(p.Message)
	if p.Nearest != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", p.Nearest)
	}
	return b.String()
}

// Problems is all that Load found, in the order of the settings.
type Problems struct {
	// Errors keep a node from starting.
	Errors []Problem
	// Warnings do not.
	Warnings []Problem
}

// Err joins the errors, one a line; nil when there is none.
func (p Problems) Err() error {
	if len(p.Errors) == 0 {
		return nil
	}
	lines := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		lines[i] = e.String()
	}
	return errors.New(strings.Join(lines, "\n"))
}

// String lists everything, one problem a line, errors first.
func (p Problems) String() string {
	var b strings.Builder
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "error: %s\n", e)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// add files a problem under errors or warnings.
func (p *Problems) add(q Problem) {
	if q.Cause >= Duplicate {
		p.Warnings = append(p.Warnings, q)
	} else {
		p.Errors = append(p.Errors, q)
	}
}
