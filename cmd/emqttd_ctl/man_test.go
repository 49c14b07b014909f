package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/tests/testkit"
)

var update = flag.Bool("update", false, "write docs/man/emqttd_ctl.1")

// man is the manual page, made of what the program says of itself.
func man() string {
	var b strings.Builder
	cmd := command(new(options))
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH EMQTTD_CTL 1 "" "emqttd %s" "emqttd"`, version)
	line(".SH NAME\nemqttd_ctl \\- %s", roff(strings.ToLower(cmd.Short[:1])+cmd.Short[1:]))
	line(".SH SYNOPSIS\n.B emqttd_ctl\n[\\fIflags\\fR] [\\fIcommand\\fR] [\\fIarguments\\fR]")
	line(".SH DESCRIPTION")
	for _, paragraph := range strings.Split(cmd.Long, "\n\n") {
		line(".PP\n%s", roff(paragraph))
	}
	line(".SH OPTIONS\n.nf\n%s\n.fi", roff(cmd.Flags().FlagUsages()))
	line(".SH COMMANDS\nPlugins add further ones: without a command emqttd_ctl lists all.")
	for _, u := range usage() {
		line(".TP\n.B %s\n%s", roff(u.Line), roff(u.Text))
	}
	line(".SH EXIT STATUS\n.TP\n.B 0\nThe command was carried out.\n.TP\n.B 1\nIt was refused, failed or found nothing, or the node does not run.\n" +
		".TP\n.B 2\nThere is no such command, or it does not take these arguments.")
	line(".SH ENVIRONMENT\n.TP\n.B EMQ_HOME\nThe home of the node, whose etc/emq.conf is read unless \\-c names another file.")
	return b.String()
}

// roff keeps what means something to roff from meaning it.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(strings.Trim(text, "\n"))
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func TestTheManualPageSaysWhatTheProgramSays(t *testing.T) {
	file := filepath.Join(testkit.Root(), "docs", "man", "emqttd_ctl.1")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(man()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != man() {
		t.Errorf("%s is not up to date: go test ./cmd/emqttd_ctl -update", file)
	}
}
