package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run TestDocumentationIsUpToDate -update .

const documentation = `# Configuration

This page is generated from the registry of keys (` + "`go generate ./config`" + `); a test fails when it is out of date.

A node reads ` + "`etc/emq.conf`" + `, one ` + "`key = value`" + ` per line, then the plugin files ` + "`etc/plugins/*.conf`" + `, then the
environment, then the flags; each wins over the one before. All mistakes are reported at once, with file and line, and the node does not
start; what is merely odd is a warning. No message repeats the value of a secret.

## Changes while the node runs

` + "`emqttd_ctl conf set KEY VALUE`" + ` writes one line and reloads; ` + "`conf reload`" + ` reads all layers again, as a start does. What is wrong in any
of them is refused whole, with file and line, and everything stays as it was; the alarm ` + "`conf_refused`" + ` is on until the files are good again.
` + "`conf diff`" + ` says beforehand what would change, and ` + "`conf show`" + ` what waits for a restart. Each configuration that was accepted has a number
in ` + "`conf history`" + `, of which the last 50 are kept below node.data_dir, secrets included, for the node's user only; ` + "`conf rollback N`" + ` writes the
files of one back. A key that the environment or a flag sets cannot be set in the file. The column *live* says when a change is in force:

| live | means |
| --- | --- |
| at once | when the command has been answered |
| for new connections | for those that begin afterwards, and for sessions whose client connects again; who is connected keeps what he was told |
| after a restart | accepted, and pending until the node is started again |

## Files


- **The grammar** is that of EMQ 2.x. The value runs to the end of the line: no quotes, no escapes, no comments behind it. A line whose
  first character is ` + "`#`" + ` is a comment. A dot within a word of a key is written ` + "`\\.`" + `. ` + "`include GLOB`" + ` takes in other files, relative to the
  including one. ` + "`{{ platform_etc_dir }}`, `{{ platform_data_dir }}` and `{{ platform_log_dir }}`" + ` are ` + "`etc`, `data` and `log`" + `.
- **A key that is given twice** has the value of its last line, with a warning that names both.
- **Relative paths** start at the node's home: ` + "`EMQ_HOME`" + `, or the folder that holds the ` + "`etc/`" + ` of the file.
- **Listeners are not defaults**: one exists only where a file, the environment or a flag names it.

| type | is written |
| --- | --- |
| duration | ` + "`30s`, `5m`, `1d2h`, `500ms`" + `; units ms s m h d w f (a fortnight); a bare number is seconds |
| size | ` + "`64KB`, `1MB`" + `; units KB MB GB, or kb mb gb; a bare number is bytes |
| percent | ` + "`20%`, or `0.2`" + ` |
| IP:port | ` + "`1883` (all IPv4 addresses), `127.0.0.1:1883`, `::1:1883`, `[::1]:1883`" + ` |
| true, false and on, off | either pair is understood |

| status | means |
| --- | --- |
| supported | does what it says |
| ignored | means nothing in this implementation: accepted, with a warning that says why |
| plugin | belongs in the file of that plugin, etc/plugins/NAME.conf, which is read when the plugin is loaded: refused elsewhere |
| not yet | belongs to a feature this version does not have: refused, so that nobody believes that it is on |

## Environment

| variable | sets |
| --- | --- |
| ` + "`EMQ_HOME`" + ` | the node's home |
| ` + "`EMQ__` and a key with `__` for each dot, as in `EMQ__mqtt__max_packet_size`" + ` | that key; a name all in capitals stands for a key in small letters |
`

// cell escapes text for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// code sets text as code, and nothing as nothing.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

func (k *Key) typeCell() string {
	if k.Kind == Enum {
		return strings.Join(k.Values, ", ")
	}
	return k.Kind.String()
}

func (k *Key) statusCell() string {
	if k.Status == Supported {
		return "supported"
	}
	s := k.Status.String() + ": " + k.Reason
	if len(k.Harmless) > 0 {
		s += " (`" + strings.Join(k.Harmless, "`, `") + "` is accepted)"
	}
	return s
}

func (k *Key) meaningCell() string {
	s := k.Doc
	if len(k.Missing) > 0 {
		s += " This version refuses `" + strings.Join(slices.Sorted(maps.Keys(k.Missing)), "`, `") + "`."
	}
	if len(k.Aliases) > 0 {
		s += " Formerly `" + strings.Join(k.Aliases, "`, `") + "`."
	}
	return s
}

func render() string {
	var b strings.Builder
	b.WriteString(documentation)
	for _, name := range slices.Sorted(maps.Keys(shortEnv)) {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", name, shortEnv[name])
	}
	b.WriteString("\n## Names of EMQ 2.0 and 2.1\n\nOther former names stand with their keys below.\n\n| then | now |\n| --- | --- |\n")
	for _, l := range oldListeners {
		fmt.Fprintf(&b, "| `%s`, `%s.…` | `%s`, `%s.…` |\n", l.old, l.old, l.now, l.now)
	}
	section := ""
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | status | live | meaning |\n| --- | --- | --- | --- | --- | --- |\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, cell(k.typeCell()), code(k.Default), cell(k.statusCell()), k.Live(), cell(k.meaningCell()))
	}
	return b.String()
}

func TestDocumentationIsUpToDate(t *testing.T) {
	golden(t, "../docs/configuration.md", render())
}
