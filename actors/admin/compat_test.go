package admin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	for _, row := range regexp.MustCompile("(?m)^\\| `(.+?)` \\|.*?\\| (.*?`(.+?)`.*?) \\|[^|]*\\|$").FindAllStringSubmatch(part, -1) {
		here[row[1]] = row[3]
	}
	return here
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
		{"status", "status", `Node '.+@.+' is started\nemqttd \S+ is running\n(anybody may connect: .*\n)?`},
		{"broker", "broker", `sysdescr  : Erlang MQTT Broker\nversion   : .+\nuptime    : .*\d+ seconds\ndatetime  : \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n`},
		{"broker stats", "broker stats", `(` + figure + `)+`},
		{"broker metrics", "broker metrics", `(` + figure + `)+`},
		{"broker pubsub", "broker pubsub", `(pubsub: \d+\n(  \S+ *: \S+\n){7})+`},
		{"cluster status", "cluster status", `Cluster status: \[\{running_nodes,\['.+'\]\}\]\n`},
		{"clients list", "clients list", `(` + client + `)+`},
		{"clients show", "clients show c1", client},
		{"clients kick", "clients kick c1", ``},
		{"sessions list", "sessions list", `(Session\(.*\)\n)+`},
		{"sessions list persistent", "sessions list persistent", `(Session\([^,]+, clean_sess=false.*\)\n)+`},
		{"sessions list transient", "sessions list transient", `(Session\([^,]+, clean_sess=true.*\)\n)+`},
		{"sessions show", "sessions show c2", session},
		{"routes list", "routes list", `(\S+ -> \S+@\S+\n)+`},
		{"routes show", "routes show none", ``},
		{"topics list", "topics list", `(\S+\n)+`},
		{"topics show", "topics show none", ``},
		{"subscriptions list", "subscriptions list", `(\S+<\d+\.\d+\.\d+> -> \S+\n)+`},
		{"subscriptions show", "subscriptions show c1", `(\S+ -> \S+\n  qos     : \d\n)+`},
		{"subscriptions add", "subscriptions add c1 $share/g/t 1", `ok\n`},
		{"subscriptions add", "subscriptions add nobody t 1", `Error: Session not found!\n`},
		{"subscriptions add", "subscriptions add c1 t 3", `QoS should be 0, 1, 2\n`},
		{"subscriptions del", "subscriptions del c1 t", `ok\n`},
		{"vm load", "vm load", `(cpu/load(1|5|15) +: \S+\n){3}`},
		{"vm memory", "vm memory", `memory/total +: \d+\nmemory/processes +: \d+\n(.*\n)*`},
		{"vm process", "vm process", `process/limit +: \d+\nprocess/count +: \d+\n`},
		{"vm io", "vm io", `io/max_fds +: \S+\nio/active_fds +: \d+\n`},
		{"vm ports", "vm ports", `ports/count +: \d+\nports/limit +: \S+\n`},
		{"mnesia", "mnesia", `===> System info.*`},
		{"listeners", "listeners", `(listener on \S+:\S+:\d+\n  acceptors       : \d+\n  max_clients     : \d+\n  current_clients : \d+\n  shutdown_count  : \[.*\]\n)+`},
		{"listeners restart", "listeners restart tcp 1883", `Restart tcp listener on 1883 successfully\.\n`},
		{"listeners stop", "listeners stop tcp 1884", `Failed to stop tcp listener on 1884, error:.+\n`},
		{"set", "set mqtt.max_packet_size=1KB --app=emqttd", `Set .*successfully.*\n`},
		{"show", "show mqtt.max_packet_size --app=emqttd", `(?s).*mqtt\.max_packet_size.*64KB.*`},
		{"retainer info", "retainer info", `retained/total: \d+\n`},
		{"retainer topics", "retainer topics", `(\S+\n)+`},
		{"retainer clean", "retainer clean", `Cleaned \d+ retained messages\n`},
		{"admins add", "admins add ann pw operator", `ok\n`},
		{"admins add", "admins add admin pw", `Error: already existed\n`},
		{"admins passwd", "admins passwd admin pw", `ok\n`},
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
		{"recon", "recon memory", `usage/current.*`},
		{"reload", "reload emqttd", `reload.*`},
	} {
		got, _ := ctl(t, fakenode.New().Sources(), strings.Fields(tc.args)...)
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
