package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Edit is the text of the file that a key is set in with a new value for it: its
// line is written anew, or one is added at the end of emq.conf if no file has the
// key. All other lines stay as they are. It says why it cannot be done: the key is
// unknown or not supported, the environment or a flag sets it, or the value is not
// text for one line. Whether the value is good Again tells.
func (l *Loaded) Edit(key, value string) (FileText, error) {
	name := canonical(key)
	k := lookup(name)
	refuse := func(c Cause, message string) (FileText, error) {
		return FileText{}, &Problem{Key: key, Cause: c, Message: message}
	}
	switch {
	case k == nil:
		return FileText{}, unknownKey(key)
	case k.Status == Ignored:
		return refuse(NoEffect, "ignored: "+k.Reason)
	case k.Status != Supported:
		return refuse(NotSupplied, k.refusal())
	case checkKey(key) != "":
		return refuse(Syntax, checkKey(key))
	case checkText(value) != "" || strings.ContainsAny(value, "\r\n"):
		return refuse(Syntax, "the value is not UTF-8 text without control characters")
	case l.src.File == "" || len(l.Files) == 0:
		return refuse(Unreadable, "the node was started without a configuration file")
	}
	s := l.settings[name]
	if s.Layer == LayerEnvironment || s.Layer == LayerFlag {
		return refuse(Conflict, fmt.Sprintf("is set by the %s, which wins over the file (%s): change it there", s.Layer, s.Where))
	}
	value = strings.Trim(value, " \t")
	if s.File == "" {
		return l.Files[0].add(name, value), nil
	}
	i := slices.IndexFunc(l.Files, func(f FileText) bool { return f.Path == s.File })
	return l.Files[i].replace(s.Line, s.Written, value), nil
}

// replace writes one line anew, with the blanks and the line end it had.
func (f FileText) replace(line int, key, value string) FileText {
	lines := bytes.SplitAfter(f.Text, []byte("\n"))
	old := lines[line-1]
	text := bytes.TrimRight(old, "\r\n")
	start := bytes.Index(text, []byte(key))
	mark := start + bytes.IndexByte(text[start:], '=') + 1
	blanks := len(text[mark:]) - len(bytes.TrimLeft(text[mark:], " \t"))
	if blanks == len(text[mark:]) {
		blanks = 0 // there was no value
	}
	out := append([]byte{}, text[:mark+blanks]...)
	if blanks == 0 && value != "" && mark > 1 && text[mark-2] == ' ' {
		out = append(out, ' ')
	}
	out = append(append(out, value...), old[len(text):]...)
	lines = slices.Clone(lines)
	lines[line-1] = out
	return FileText{f.Path, bytes.Join(lines, nil)}
}

// add appends a line.
func (f FileText) add(key, value string) FileText {
	end := "\n"
	if bytes.Contains(f.Text, []byte("\r\n")) {
		end = "\r\n"
	}
	text := bytes.Clone(f.Text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, end...)
	}
	return FileText{f.Path, append(text, key+" = "+value+end...)}
}
