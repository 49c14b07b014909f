package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

// threeNodes are emq@127.0.0.1, which is asked, far@h, which has two pages of everything, and down@h.
func threeNodes() *admin.Options {
	return &admin.Options{
		Sources: fakenode.New().Sources(),
		Nodes:   func() []string { return []string{"far@h", "emq@127.0.0.1", "down@h"} },
		Relay: func(node string, cmd *admin.Command) (*admin.Result, error) {
			if node == "down@h" {
				return nil, errors.New("it does not answer")
			}
			if cmd.Node != "" || cmd.All {
				return nil, errors.New("it is asked to ask others")
			}
			text := fmt.Sprintf("%s %s%s\n", node, strings.Join(cmd.Args, " "), cmd.Cursor)
			if cmd.JSON {
				text = fmt.Sprintf("{\"cursor\":%q}\n", cmd.Cursor)
			}
			if cmd.Cursor == "" {
				return &admin.Result{Text: text, Cursor: "2"}, nil
			}
			return &admin.Result{Text: text}, nil
		},
	}
}

func TestACommandIsRelayedToTheNodeItIsFor(t *testing.T) {
	topics := []string{"topics", "list"}
	for node, want := range map[string]string{
		"emq@127.0.0.1": "a/#\nb//c/\n",
		"far@h":         "far@h topics list\nfar@h topics list2\n",
	} {
		if got, code := run(t, threeNodes(), admin.Command{Args: topics, Node: node}); got != want || code != 0 {
			t.Errorf("%s: %d\n%s", node, code, got)
		}
	}
	for node, want := range map[string]string{
		"down@h":   "RPC to down@h error: it does not answer\n",
		"nobody@h": "unknown node nobody@h\n",
	} {
		if got, code := run(t, threeNodes(), admin.Command{Args: topics, Node: node}); got != want || code != admin.ExitFailed {
			t.Errorf("%s: %d\n%s", node, code, got)
		}
	}
}

func TestAllNodesAreAskedOneAfterTheOther(t *testing.T) {
	got, code := run(t, threeNodes(), admin.Command{Args: []string{"topics", "list"}, All: true})
	want := "== down@h\nRPC to down@h error: it does not answer\n== emq@127.0.0.1\na/#\nb//c/\n== far@h\nfar@h topics list\nfar@h topics list2\n"
	if got != want || code != admin.ExitFailed {
		t.Errorf("%d\n%s", code, got)
	}
	got, _ = run(t, threeNodes(), admin.Command{Args: []string{"topics", "list"}, All: true, JSON: true})
	want = `{"node":"down@h","error":"RPC to down@h error: it does not answer"}
{"node":"emq@127.0.0.1","topic":"a/#"}
{"node":"emq@127.0.0.1","topic":"b//c/"}
{"node":"far@h","cursor":""}
{"node":"far@h","cursor":"2"}
`
	if got != want {
		t.Error(got)
	}
}

func TestANodeThatIsAloneIsAllNodes(t *testing.T) {
	alone := &admin.Options{Sources: fakenode.New().Sources()}
	if got, code := run(t, alone, admin.Command{Args: []string{"topics", "list"}, All: true}); got != "a/#\nb//c/\n" || code != 0 {
		t.Errorf("%d\n%s", code, got)
	}
	if got, code := run(t, alone, admin.Command{Args: []string{"topics", "list"}, Node: "other@h"}); got != "unknown node other@h\n" || code != admin.ExitFailed {
		t.Errorf("%d\n%s", code, got)
	}
}

func TestNodesMayLeaveWhileAllAreAsked(t *testing.T) {
	o := threeNodes()
	for cursor, want := range map[string]string{
		"e@h\n17": "== emq@127.0.0.1\na/#\nb//c/\n== far@h\nfar@h topics list\nfar@h topics list2\n",
		"z@h\n":   "",
	} {
		if got, _ := run(t, o, admin.Command{Args: []string{"topics", "list"}, All: true, Cursor: cursor}); got != want {
			t.Errorf("%q:\n%s", cursor, got)
		}
	}
}
