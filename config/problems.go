package config

import (
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
	Where string `json:"where"`
	// Key as it was written there; empty for a line without one.
	Key   string `json:"key"`
	Cause Cause  `json:"-"`
	// Message is a sentence without the place and the key.
	Message string `json:"message"`
	// Nearest is the known key that an unknown one is most like, or empty.
	Nearest string `json:"nearest"`

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

// Invalid is the error of a configuration that cannot be used.
type Invalid struct{ Problems []Problem }

// Error joins the problems, one a line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err is *Invalid with the errors; nil when there is none.
func (p Problems) Err() error {
	if len(p.Errors) == 0 {
		return nil
	}
	return &Invalid{p.Errors}
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
