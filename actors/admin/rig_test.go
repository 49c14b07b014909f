package admin_test

import (
	"strings"
	"testing"

	"emqttd/actors/admin"
)

// ctl runs a command as a command line does: page after page.
func ctl(t *testing.T, src *admin.Sources, args ...string) (string, int) {
	t.Helper()
	return run(t, &admin.Options{Sources: src}, admin.Command{Args: args})
}

func run(t *testing.T, o *admin.Options, cmd admin.Command) (string, int) {
	t.Helper()
	r := admin.NewRegistry()
	var text strings.Builder
	code := 0
	for range 10000 {
		res := r.Run(o, &cmd)
		text.WriteString(res.Text)
		code = max(code, res.ExitCode)
		if res.Cursor == "" {
			return text.String(), code
		}
		cmd.Cursor = res.Cursor
	}
	t.Fatal("the pages do not end")
	return "", 0
}
