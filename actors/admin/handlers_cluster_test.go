package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

// peers is a cluster of three nodes, one of which is down.
type peers struct {
	asked []string
	err   error
}

func (p *peers) Members() []admin.MemberInfo {
	return []admin.MemberInfo{
		{Name: "emq3@h", Address: "h3:6369", Version: "0.1.0", State: "down"},
		{Name: "emq@127.0.0.1", Address: "127.0.0.1:6369", Version: "0.1.0", State: "up"},
		{Name: "emq2@h", Address: "h2:6369", Version: "0.1.0", State: "suspect"},
	}
}

func (p *peers) note(what, which string) error {
	p.asked = append(p.asked, strings.TrimSpace(what+" "+which))
	return p.err
}

func (p *peers) Join(address string) error    { return p.note("join", address) }
func (p *peers) Leave() error                 { return p.note("leave", "") }
func (p *peers) ForceLeave(name string) error { return p.note("force-leave", name) }

const twoAndOne = "Cluster status: [{running_nodes,['emq2@h','emq@127.0.0.1']},{stopped_nodes,['emq3@h']}]\n"

func TestTheClusterIsShownAndChangedInTheWordsOfEMQ(t *testing.T) {
	down := fmt.Errorf("%w: connection refused", admin.ErrNodeDown)
	tests := []struct {
		args, want, asked string
		err               error
		code              int
	}{
		{args: "status", want: twoAndOne},
		{args: "members", want: "Member(emq2@h, address=h2:6369, version=0.1.0, state=suspect)\n" +
			"Member(emq3@h, address=h3:6369, version=0.1.0, state=down)\nMember(emq@127.0.0.1, address=127.0.0.1:6369, version=0.1.0, state=up)\n"},
		{args: "join emq2@h", want: "Join the cluster successfully.\n" + twoAndOne, asked: "join h:6369"},
		{args: "join h:7000", want: "Join the cluster successfully.\n" + twoAndOne, asked: "join h:7000"},
		{args: "join emq2", want: "Join the cluster successfully.\n" + twoAndOne, asked: "join 127.0.0.1:6369"},
		{args: "join emq", want: "Ignore.\n"},
		{args: "join 127.0.0.1:6369", err: admin.ErrSelf, want: "Ignore.\n", asked: "join 127.0.0.1:6369"},
		{args: "join emq2@h", err: admin.ErrNodeDown, want: "Failed to join the cluster: {node_down,'emq2@h'}\n", asked: "join h:6369", code: 1},
		{args: "join emq2@h", err: down, want: "Failed to join the cluster: {node_down: connection refused,'emq2@h'}\n", asked: "join h:6369", code: 1},
		{args: "join emq2@h", err: admin.ErrAlreadyInCluster, want: "Failed to join the cluster: {already_in_cluster,'emq2@h'}\n", asked: "join h:6369", code: 1},
		{args: "join emq2@h", err: errors.New("the cookie is wrong"), want: "Failed to join the cluster: the cookie is wrong\n", asked: "join h:6369", code: 1},
		{args: "join h:x", want: "Failed to join the cluster: expected host:port or name@host, such as 192.0.2.7:6369 or emq2@node2.example.com\n", code: 1},
		{args: "leave", want: "Leave the cluster successfully.\n" + twoAndOne, asked: "leave"},
		{args: "leave", err: admin.ErrNotInCluster, want: "Failed to leave the cluster: node_not_in_cluster\n", asked: "leave", code: 1},
		{args: "force-leave emq3@h", want: "Remove the node from cluster successfully.\n" + twoAndOne, asked: "force-leave emq3@h"},
		{args: "remove emq3", want: "Remove the node from cluster successfully.\n" + twoAndOne, asked: "force-leave emq3@127.0.0.1"},
		{args: "force-leave emq", want: "Ignore.\n"},
		{
			args: "force-leave emq4@h", err: admin.ErrNotInCluster, asked: "force-leave emq4@h", code: 1,
			want: "Failed to remove the node from cluster: node_not_in_cluster\n",
		},
	}
	for _, test := range tests {
		p := &peers{err: test.err}
		src := fakenode.New().Sources()
		src.Cluster = p
		got, code := ctl(t, src, append([]string{"cluster"}, strings.Fields(test.args)...)...)
		if got != test.want || code != test.code || strings.Join(p.asked, ";") != test.asked {
			t.Errorf("cluster %s: %d %q, asked %q", test.args, code, got, p.asked)
		}
	}
}

func TestANodeThatIsAloneHasAClusterOfOne(t *testing.T) {
	for args, want := range map[string]string{
		"leave":           "Failed to leave the cluster: node_not_in_cluster\n",
		"join a@b":        "Failed to join the cluster: this node takes part in no cluster\n",
		"force-leave a@b": "Failed to remove the node from cluster: node_not_in_cluster\n",
		"members":         "Member(emq@127.0.0.1, address=, version=0.1.0, state=up)\n",
	} {
		if got, _ := ctl(t, fakenode.New().Sources(), append([]string{"cluster"}, strings.Fields(args)...)...); got != want {
			t.Errorf("cluster %s: %q", args, got)
		}
	}
}

func TestClusterDrainIsDrain(t *testing.T) {
	for args, want := range map[string]string{
		"drain": "", "drain --server h:1883": "h:1883", "drain --moved --server h:1883": "h:1883 moved", "drain off": "off",
	} {
		src := fakenode.New().Sources()
		got := "nothing"
		src.Drain = func(server string, moved bool) int {
			got = server
			if moved {
				got += " moved"
			}
			return 0
		}
		src.Undrain = func() { got = "off" }
		if text, code := ctl(t, src, append([]string{"cluster"}, strings.Fields(args)...)...); got != want || code != 0 {
			t.Errorf("cluster %s: %q, asked %q", args, text, got)
		}
	}
	for _, args := range []string{"drain h:1883", "drain --server", "drain --server off", "drain off --moved", "drain off off"} {
		if _, code := ctl(t, fakenode.New().Sources(), append([]string{"cluster"}, strings.Fields(args)...)...); code != admin.ExitUsage {
			t.Errorf("cluster %s: %d", args, code)
		}
	}
}
