package admin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
	"emqttd/tests/testkit"
)

// differences reads a table of docs/compat.md: what is here, by what is asked.
func differences(t *testing.T, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "docs", "compat.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	here := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.+?)`([^|]*) \\|.*?\\| (.*?`(.+?)`.*?) \\|[^|]*\\|$").FindAllStringSubmatch(part, -1) {
		here[row[1]+row[2]] = row[4]
	}
	return here
}

// script runs commands, with a semicolon between, and returns what they print. LOG and LOG2 are files.
func script(t *testing.T, src *admin.Sources, text string) string {
	t.Helper()
	dir := t.TempDir()
	files := strings.NewReplacer("LOG2", filepath.Join(dir, "2.log"), "LOG", filepath.Join(dir, "1.log"))
	if strings.HasPrefix(text, "acl ") {
		src.Access = ruled(t, dir)
	}
	var out strings.Builder
	for line := range strings.SplitSeq(text, "; ") {
		got, _ := ctl(t, src, strings.Fields(files.Replace(line))...)
		out.WriteString(got)
	}
	if err := src.Trace.Close(); err != nil {
		t.Error(err)
	}
	return out.String()
}

// ruled is a chain with a file of access rules.
func ruled(t *testing.T, dir string) *access.Chain {
	t.Helper()
	path := filepath.Join(dir, "acl.conf")
	if err := os.WriteFile(path, []byte("{allow, all}.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := access.OpenACLFile(path, "acl.conf", true)
	if err != nil {
		t.Fatal(err)
	}
	return access.NewChain(access.Options{ACL: file})
}

// TestCommandsPrintWhatEMQ23Prints holds each command against what EMQ's own prints, and what differs against
// docs/compat.md.
func TestCommandsPrintWhatEMQ23Prints(t *testing.T) {
	const client = `Client\([^,]+, clean_sess=(true|false), username=\S+, peername=\S+:\d+, connected_at=\d+\)\n`
	const session = `Session\([^,]+, clean_sess=(true|false), subscriptions=\d+, max_inflight=\d+, inflight=\d+, mqueue_len=\d+, mqueue_dropped=\d+, ` +
		`awaiting_rel=\d+, deliver_msg=undefined, enqueue_msg=undefined, created_at=\d+\)\n`
	const figure = `\S+ *: \d+\n`
	here, compared := differences(t, "Command line"), map[string]bool{}
	for _, tc := range []struct{ name, args, emq string }{
		{"help", "help", `Usage: emqttd_ctl\n(-{80}\n([^#\n]{48}.*\n)+)+`},
		{"no command", "", `Usage: emqttd_ctl\n(-{80}\n([^#\n]{48}.*\n)+)+`},
		{"an unknown command", "none", `Usage: emqttd_ctl\n(-{80}\n([^#\n]{48}.*\n)+)+`},
		{"wrong arguments", "clients shew c1", `(clients [^#\n]{40}# .*\n){3}`},
		{"status", "status", `Node '.+@.+' is started\nemqttd \S+ is running\n(anybody may connect: .*\n)?`},
		{"broker", "broker", `sysdescr  : Erlang MQTT Broker\nversion   : .+\nuptime    : .*\d+ seconds\ndatetime  : \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n`},
		{"broker stats", "broker stats", `(` + figure + `)+`},
		{"broker metrics", "broker metrics", `(` + figure + `)+`},
		{"broker pubsub", "broker pubsub", `(pubsub: \d+\n(  \S+ *: \S+\n){7})+`},
		{"cluster status", "cluster status", `Cluster status: \[\{running_nodes,\['.+'\]\},\{stopped_nodes,\['.+'\]\}\]\n`},
		{"cluster join", "cluster join emq2@h", `Join the cluster successfully\.\nCluster status: .+\n`},
		{"cluster join", "cluster join emq", `Ignore\.\n`},
		{"cluster leave", "cluster leave", `Leave the cluster successfully\.\nCluster status: .+\n`},
		{"cluster force-leave", "cluster force-leave emq3@h", `Remove the node from cluster successfully\.\nCluster status: .+\n`},
		{"cluster remove", "cluster remove emq3@h", `Remove the node from cluster successfully\.\nCluster status: .+\n`},
		{"clients list", "clients list", `(` + client + `)+`},
		{"clients show", "clients show c1", client},
		{"clients show", "clients show nobody", `Not Found\.\n`},
		{"clients kick", "clients kick c1", ``},
		{"clients kick", "clients kick nobody", `Not Found\.\n`},
		{"sessions list", "sessions list", `(Session\(.*\)\n)+`},
		{"sessions list persistent", "sessions list persistent", `(Session\([^,]+, clean_sess=false.*\)\n)+`},
		{"sessions list transient", "sessions list transient", `(Session\([^,]+, clean_sess=true.*\)\n)+`},
		{"sessions show", "sessions show c2", session},
		{"sessions show of nobody", "sessions show nobody", `Not Found\.\n`},
		{"routes list", "routes list", `(\S+ -> \S+@\S+\n)+`},
		{"routes show of a topic", "routes show a/#", `a/# -> \S+@\S+\n`},
		{"routes show", "routes show none", ``},
		{"topics list", "topics list", `(\S+\n)+`},
		{"topics show of a topic", "topics show a/#", `a/# -> \S+@\S+\n`},
		{"topics show", "topics show none", ``},
		{"subscriptions list", "subscriptions list", `(\S+<\d+\.\d+\.\d+> -> \S+\n)+`},
		{"subscriptions show", "subscriptions show c1", `(\S+ -> \S+\n  qos     : \d\n)+`},
		{"subscriptions show of nobody", "subscriptions show nobody", `Not Found\.\n`},
		{"subscriptions add", "subscriptions add c1 $share/g/t 1", `ok\n`},
		{"subscriptions add", "subscriptions add nobody t 1", `Error: Session not found!\n`},
		{"subscriptions add", "subscriptions add c1 t 3", `QoS should be 0, 1, 2\n`},
		{"subscriptions del", "subscriptions del c1 t", `ok\n`},
		{"subscriptions del", "subscriptions del nobody t", `Error: Session not found!\n`},
		{"vm", "vm", `cpu/load1 +: (?s:.+)memory/total +: \d+\n(?s:.+)process/(?s:.+)io/max_fds +: (?s:.+)ports/limit +: \S+\n`},
		{"vm", "vm all", `cpu/load1 +: (?s:.+)memory/total +: \d+\n(?s:.+)process/(?s:.+)io/max_fds +: (?s:.+)ports/limit +: \S+\n`},
		{"vm load", "vm load", `(cpu/load(1|5|15) +: \S+\n){3}`},
		{"vm memory", "vm memory", `memory/total +: \d+\nmemory/processes +: \d+\n(.*\n)*`},
		{"vm process", "vm process", `process/limit +: \d+\nprocess/count +: \d+\n`},
		{"vm io", "vm io", `io/max_fds +: \S+\nio/active_fds +: \d+\n`},
		{"vm ports", "vm ports", `ports/count +: \d+\nports/limit +: \S+\n`},
		{"mnesia", "mnesia", `===> System info.*`},
		{"trace list", "trace client c1 LOG; trace topic a/b LOG2; trace list", `(?s).*trace client c1 -> \S+\ntrace topic a/b -> \S+\n`},
		{"trace client", "trace client c1 LOG", `trace client c1 successfully\.\n`},
		{"trace client", "trace client c1 LOG; trace client c1 LOG", `trace client c1 successfully\.\ntrace client c1 error: existed\n`},
		{"trace client", "trace client c1 LOG; trace client c1 off", `(?s).*stop tracing client c1 successfully\.\n`},
		{"trace client", "trace client c1 off", `stop tracing client c1 error: not_found\.\n`},
		{"trace topic", "trace topic a/b LOG", `trace topic a/b successfully\.\n`},
		{"trace topic", "trace topic a/b LOG; trace topic a/b LOG", `trace topic a/b successfully\.\ntrace topic a/b error: existed\n`},
		{"trace topic", "trace topic a/b LOG; trace topic a/b off", `(?s).*stop tracing topic a/b successfully\.\n`},
		{"trace topic", "trace topic a/b off", `stop tracing topic a/b error: not_found\.\n`},
		{"listeners", "listeners", `(listener on \S+:\S+:\d+\n  acceptors       : \d+\n  max_clients     : \d+\n  current_clients : \d+\n  shutdown_count  : \[.*\]\n)+`},
		{"listeners start", "listeners start tcp 1883", `Start tcp listener on 1883 successfully\.\n`},
		{"listeners start", "listeners start tcp 1884", `Failed to Start tcp listener on 1884, error:.+\n`},
		{"listeners restart", "listeners restart mqtt:tcp 0.0.0.0:1883", `Restart mqtt:tcp listener on 0\.0\.0\.0:1883 successfully\.\n`},
		{"listeners restart", "listeners restart tcp 1884", `Failed to restart tcp listener on 1884, error:.+\n`},
		{"listeners restart", "listeners restart tcp 1883", `Restart tcp listener on 1883 successfully\.\n`},
		{"listeners stop", "listeners stop tcp 1883", `Stop tcp listener on 1883 successfully\.\n`},
		{"listeners stop", "listeners stop tcp 1884", `Failed to stop tcp listener on 1884, error:.+\n`},
		{"acl reload", "acl reload", ``},
		{"set without a setting", "set", `(?s)-+\n.*Usage: set key=value --app=appname\n`},
		{"set", "set mqtt.max_packet_size=1KB --app=emqttd", `Set .*successfully.*\n`},
		{"show", "show mqtt.max_packet_size --app=emqttd", `(?s).*mqtt\.max_packet_size.*64KB.*`},
		{"retainer info", "retainer info", `retained/total: \d+\n`},
		{"retainer topics", "retainer topics", `(\S+\n)+`},
		{"retainer clean", "retainer clean", `Cleaned \d+ retained messages\n`},
		{"admins add", "admins add ann pw operator", `ok\n`},
		{"admins add", "admins add admin pw", `Error: already existed\n`},
		{"admins passwd", "admins passwd admin pw", `ok\n`},
		{"admins passwd of nobody", "admins passwd nobody pw", `\{error,.+\}\n`},
		{"admins list", "admins list", `Usage.*`},
		{"admins del", "admins del admin", `ok\n`},
		{"users list", "users list", `(\S+\n)+`},
		{"users add", "users add joe pw", `\{error,existed\}\n`},
		{"users del", "users del nobody", `ok\n`},
		{"plugins list", "plugins list", `(Plugin\(\S+, version=\S+, description=.+, active=(true|false)\)\n)+`},
		{"plugins load", "plugins load emq_web_hook", `Start apps: \[emq_web_hook\]\nPlugin emq_web_hook loaded successfully\.\n`},
		{"plugins load", "plugins load emq_retainer", `load plugin error: already_started\n`},
		{"plugins load", "plugins load none", `load plugin error: not_found\n`},
		{"plugins unload", "plugins unload emq_retainer", `Plugin emq_retainer unloaded successfully\.\n`},
		{"plugins unload", "plugins unload emq_web_hook", `unload plugin error: not_started\n`},
		{"recon", "recon memory", `(usage/current.*)`},
		{"recon", "recon allocated", `(\S+/current.*)`},
		{"recon", "recon bin_leak", `(?s)<.*`},
		{"recon", "recon node_stats", `(?s)\[.*`},
		{"recon", "recon remote_load emqttd", `\{.*\}\n`},
		{"reload", "reload emqttd", `reload.*`},
		{"luahook", "luahook load a.lua", `ok\n`},
		{"bridges", "bridges list", ``},
	} {
		f := fakenode.New()
		if tc.name == "set" {
			f.WithFile(t)
		}
		src := f.Sources()
		src.Cluster = &peers{}
		got := script(t, src, tc.args)
		want, differs := here[tc.name]
		same := regexp.MustCompile(`^(?:` + tc.emq + `)$`).MatchString(got)
		switch {
		case differs && same:
			t.Errorf("%s: docs/compat.md says that it differs, but it does not", tc.args)
		case differs && !strings.Contains(got, want):
			t.Errorf("%s: docs/compat.md promises %q, it prints\n%s", tc.args, want, got)
		case !differs && !same:
			t.Errorf("%s differs from EMQ, and docs/compat.md does not say so:\n%s", tc.args, got)
		}
		compared[tc.name] = true
	}
	for name := range here {
		if !compared[name] {
			t.Errorf("docs/compat.md names %s, which no test compares", name)
		}
	}
}
