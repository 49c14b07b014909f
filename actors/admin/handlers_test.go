package admin_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

func TestCommandsPrintWhatEMQPrints(t *testing.T) {
	for _, tc := range []struct {
		args, want string
		code       int
	}{
		{"status", "Node 'emq@127.0.0.1' is started\nemqttd 0.1.0 is running\nanybody may connect: mqtt.allow_anonymous is true\n", 0},
		{"broker stats", "clients/count       : 2\nclients/max         : 5\nroutes/count        : 2\n", 0},
		{"broker metrics", "bytes/received          : 1\npackets/sent            : 2\n", 0},
		{"clients list", "Client(c1, clean_sess=true, username=undefined, peername=127.0.0.1:52011, connected_at=1479808000)\n" +
			"Client(c2\\x1b[2J, clean_sess=false, username=al, peername=::1:1, connected_at=1479808000)\n", 0},
		{"clients show c1", "Client(c1, clean_sess=true, username=undefined, peername=127.0.0.1:52011, connected_at=1479808000)\n", 0},
		{"clients show nobody", "Not Found.\n", 1},
		{"clients kick c1", "", 0},
		{"clients kick nobody", "Not Found.\n", 1},
		{"sessions list persistent", "Session(c2, clean_sess=false, subscriptions=0, max_inflight=0, inflight=5, mqueue_len=7, " +
			"mqueue_dropped=1, awaiting_rel=4, deliver_msg=3, enqueue_msg=9, created_at=1479808000)\n", 0},
		{"sessions list transient", "Session(c1, clean_sess=true, subscriptions=2, max_inflight=32, inflight=0, mqueue_len=0, " +
			"mqueue_dropped=0, awaiting_rel=0, deliver_msg=0, enqueue_msg=0, created_at=1479808000)\n", 0},
		{"sessions show nobody", "Not Found.\n", 1},
		{"routes list", "a/# -> emq@127.0.0.1\nb//c/ -> emq@127.0.0.1\n", 0},
		{"routes show a/#", "a/# -> emq@127.0.0.1\n", 0},
		{"routes show none", "Not Found.\n", 1},
		{"topics list", "a/#\nb//c/\n", 0},
		{"topics show a/#", "a/# -> emq@127.0.0.1\n", 0},
		{"topics show none", "Not Found.\n", 1},
		{"subscriptions list", "c1 -> a/#\nc1 -> b//c/\nc2 -> x\n", 0},
		{"subscriptions show c1", "c1 -> a/#\n  qos     : 1\nc1 -> b//c/\n  qos     : 0\n  share   : g\n", 0},
		{"subscriptions show nobody", "Not Found.\n", 1},
		{"subscriptions add c1 $share/g/t 2", "ok\n", 0},
		{"subscriptions add c1 t 3", "QoS should be 0, 1, 2\n", 1},
		{"subscriptions add nobody t 0", "Error: Session not found!\n", 1},
		{"subscriptions del c1 t", "ok\n", 0},
		{"subscriptions del nobody t", "Error: Session not found!\n", 1},
		{"store stats", "refusing                : 0\ndisk_bytes              : 4096\n", 0},
		{"store check", "session                 : 3\nThe store is sound.\n", 0},
		{"store backup b1", "The backup is in /home/b1.\n", 0},
		{"store restore b1", "Error: it is the backup of another node\n", 1},
		{"store export x.json", "Exported to x.json (9 records).\n", 0},
		{"listeners", "listener on mqtt:tcp:0.0.0.0:1883\n  acceptors       : 16\n  max_clients     : 102400\n" +
			"  current_clients : 2\n  shutdown_count  : [{keepalive_timeout,3},{closed,10}]\n", 0},
		{"listeners stop tcp.external", "ok\n", 0},
		{"listeners start mqtt:tcp:0.0.0.0:1883", "ok\n", 0},
		{"listeners restart tcp.external", "ok\n", 0},
		{"listeners reload", "ok\n", 0},
		{"listeners reload tcp.external", "ok\n", 0},
		{"listeners reload tcp.other", "reload listener tcp.other: there is no such listener\n", 1},
		{"listeners restart tcp.other", "restart listener tcp.other: there is no such listener\n", 1},
		{"actors tree --shape", "node\n├─ sessions/<0..n>\n└─ admin\n", 0},
		{"actors tree", "node                                    children=2 mailbox=0 restarts=0\n" +
			"├─ sessions                             children=2 mailbox=0 restarts=1\n" +
			"│  ├─ 0                                 children=0 mailbox=0 restarts=0\n" +
			"│  └─ 1                                 children=1 mailbox=0 restarts=0\n" +
			"└─ admin                                children=0 mailbox=3 restarts=0\n", 0},
		{"actors tree nobody", "Not Found.\n", 1},
		{"actors show admin", "id        : node/admin\nkind      : *admin.admin\nchildren  : 0\nmailbox   : 3\nrestarts  : 0\n", 0},
		{"actors show nobody", "Not Found.\n", 1},
		{"actors top --once 2", "3 actors looked at, 5 left out\n" +
			"actor                                               mailbox   messages/s\n" +
			"node/topics/0                                             3          7.0\n" +
			"node/admin                                                3          0.5\n", 0},
		{"actors top --once --by rate 1", "3 actors looked at, 5 left out\n" +
			"actor                                               mailbox   messages/s\n" +
			"node/sessions/1                                           0        120.0\n", 0},
		{"listeners stop tcp 1883", "Stop tcp listener on 1883 successfully.\n", 0},
		{"listeners restart mqtt:tcp 0.0.0.0:1883", "Restart mqtt:tcp listener on 0.0.0.0:1883 successfully.\n", 0},
		{"listeners start tcp 1", "Failed to Start tcp listener on 1, error:not_found\n", 1},
		{"listeners stop ssl 1883", "Failed to stop ssl listener on 1883, error:not_found\n", 1},
		{"retainer info", "retained/total: 0\n", 0},
		{"retainer topics", "r/1\nr/2\n", 0},
		{"retainer clean", "Cleaned 2 retained messages\n", 0},
		{"cluster status", "Cluster status: [{running_nodes,['emq@127.0.0.1']}]\n", 0},
		{"admins list", "User(admin, tags=administrator, role=admin)\n", 0},
		{"admins add ann pw operator", "ok\n", 0},
		{"admins add admin pw", "Error: already existed\n", 1},
		{"admins passwd admin pw", "ok\n", 0},
		{"admins passwd nobody pw", "Not Found.\n", 1},
		{"admins del nobody", "Not Found.\n", 1},
		{"admins del admin", "Error: admin may not be deleted, nor lose his role\n", 1},
		{"apikeys list", "", 0},
		{"apikeys add nothing", "Error: expected viewer, operator or admin; got \"nothing\"\n", 1},
		{"apikeys add viewer soon", "Error: expected a duration such as 720h, or forever; got \"soon\"\n", 1},
		{"apikeys del nobody", "Not Found.\n", 1},
		{"mnesia", "table/clients               : 2\ntable/routes                : 2\nstore/refusing              : 0\nstore/disk_bytes            : 4096\n", 0},
		{"show mqtt.max_packet_size --app=emqttd", "mqtt.max_packet_size                     64KB                 size                 emqttd\n", 0},
		{"show nothing", "Not Found.\n", 1},
		{"set mqtt.max_packet_size=1KB --app=emqttd", "Error: the node was started without a configuration file\n", 1},
		{"trace topic a/# LOG", "trace topic a/# error: expected one topic, without wildcards: topic: wildcard_in_name [MQTT-3.3.2-2]\n", 1},
		{"trace ip 1.2.3 LOG", "trace ip 1.2.3 error: expected an IP address\n", 1},
		{"actors kill sessions/1", "ok\n", 0},
		{"actors kill nobody", "Not Found.\n", 1},
		{"actors kill node", "Error: the root is not killed; use `emqttd stop`\n", 1},
		{"node ping", "pong\n", 0},
		{"node stop", "ok\n", 0},
		{"drain", "Draining: 7 clients are asked to leave.\n", 0},
		{"drain mqtt://b:1883 --moved", "Draining: 7 clients are asked to leave.\n", 0},
		{"drain off", "ok\n", 0},
	} {
		t.Run(tc.args, func(t *testing.T) {
			got, code := ctl(t, fakenode.New().Sources(), strings.Fields(tc.args)...)
			if got != tc.want || code != tc.code {
				t.Errorf("got %d\n%s\nwant %d\n%s", code, got, tc.code, tc.want)
			}
		})
	}
}

func TestBrokerDescribesItself(t *testing.T) {
	got, code := ctl(t, fakenode.New().Sources(), "broker")
	want := `^sysdescr  : Go MQTT Broker\nversion   : 0\.1\.0\nuptime    : 3 minutes, 32 seconds\n` +
		`datetime  : \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$`
	if code != 0 || !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%d\n%s", code, got)
	}
}

func TestUptimeLeavesOutLeadingZeroUnitsOnly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0 seconds",
		59 * time.Second:           "59 seconds",
		time.Hour:                  "1 hours, 0 minutes, 0 seconds",
		49*time.Hour + time.Minute: "2 days, 1 hours, 1 minutes, 0 seconds",
	} {
		if got := admin.FormatUptime(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestNodeThatStartsSaysSoWithAnExitCode(t *testing.T) {
	f := fakenode.New()
	f.Up = false
	for args, want := range map[string]string{
		"status":    "Node 'emq@127.0.0.1' is started\nemqttd recovers what it has kept: sessions: 7\nemqttd is not running\n",
		"node ping": "starting\n",
	} {
		if got, code := ctl(t, f.Sources(), strings.Fields(args)...); got != want || code != 1 {
			t.Errorf("%s: %d %q", args, code, got)
		}
	}
}

func TestUnknownCommandsAndWrongArgumentsGetUsageAndExitCodeTwo(t *testing.T) {
	src := fakenode.New().Sources()
	whole, code := ctl(t, src)
	if code != 0 || !strings.HasPrefix(whole, "Usage: emqttd_ctl\n"+strings.Repeat("-", 80)+"\nstatus ") {
		t.Errorf("help: %d\n%s", code, whole)
	}
	if strings.Contains(whole, "node stop") {
		t.Error("help shows what is between our own programs")
	}
	if !strings.Contains(whole, fmt.Sprintf("%-48s# %s\n", "clients kick <ClientId>", "Kick out a client")) {
		t.Errorf("usage line is not EMQ's:\n%s", whole)
	}
	if got, code := ctl(t, src, "no-such"); got != whole || code != admin.ExitUsage {
		t.Errorf("unknown command: %d\n%s", code, got)
	}
	for _, args := range []string{"clients --help", "clients list --help", "clients -h"} {
		got, code := ctl(t, src, strings.Fields(args)...)
		if want, _ := ctl(t, src, "help", "clients"); got != want || code != 0 {
			t.Errorf("%s: %d\n%s", args, code, got)
		}
	}
	for _, args := range []string{
		"clients", "clients list all", "clients kick", "sessions list odd", "sessions", "routes x", "topics x y z",
		"subscriptions add c1 t", "listeners stop", "listeners pause tcp.external", "actors", "actors tree a b", "broker x", "node", "drain a b", "drain --all", "status x",
		"actors top --by name", "actors top 0", "retainer", "cluster", "admins", "admins add x", "apikeys add", "vm all of it", "vm shoes", "mnesia x",
		"show a b", "listeners pause tcp 1883",
	} {
		got, code := ctl(t, src, strings.Fields(args)...)
		name := strings.Fields(args)[0]
		if code != admin.ExitUsage || !strings.HasPrefix(got, name) || !strings.Contains(got, "# ") {
			t.Errorf("%s: %d\n%s", args, code, got)
		}
	}
}

// Each command that shows something says the same in JSON, one object a line.
func TestRowsAreShownAsJSONOneALine(t *testing.T) {
	for args, want := range map[string]string{
		"status": `{"node":"emq@127.0.0.1","running":true,"version":"0.1.0","allow_anonymous":true}`,
		"clients show c1": `{"client_id":"c1","username":"","ip":"127.0.0.1","port":52011,"clean_session":true,"protocol_version":4,` +
			`"keepalive":60,"connected_at":"` + fakenode.Since.Format(time.RFC3339) + `"}`,
		"clients show nobody": `{"error":"Not Found."}`,
		"clients kick c1":     `{"result":"ok"}`,
		"broker stats":        `{"clients/count":2,"clients/max":5,"routes/count":2}`,
		"topics list":         "{\"topic\":\"a/#\"}\n{\"topic\":\"b//c/\"}",
		"topics show a/#":     `{"topic":"a/#","nodes":["emq@127.0.0.1"]}`,
		"routes list":         "{\"topic\":\"a/#\",\"node\":\"emq@127.0.0.1\"}\n{\"topic\":\"b//c/\",\"node\":\"emq@127.0.0.1\"}",
		"subscriptions show c1": "{\"client_id\":\"c1\",\"topic\":\"a/#\",\"qos\":1}\n" +
			`{"client_id":"c1","topic":"b//c/","share":"g","qos":0}`,
		"listeners": `{"name":"tcp.external","stopped":false,"protocol":"mqtt:tcp","listen":"0.0.0.0:1883","acceptors":16,` +
			`"max_clients":102400,"current_clients":2,"shutdown_count":{"keepalive_timeout":3,"closed":10}}`,
		"actors tree node/nothing":  `{"error":"Not Found."}`,
		"actors show admin":         `{"id":"node/admin","name":"admin","kind":"*admin.admin","mailbox":3,"restarts":0,"child_count":0}`,
		"actors top --once 1":       `{"looked_at":3,"left_out":5,"actors":[{"id":"node/topics/0","mailbox":3,"rate":7}]}`,
		"cluster status":            `{"running_nodes":["emq@127.0.0.1"]}`,
		"explain client c1":         `{"result":"client c1"}`,
		"subscriptions add x y z":   `{"error":"QoS should be 0, 1, 2"}`,
		"users list":                "{\"name\":\"boss\",\"superuser\":true}\n{\"name\":\"joe\",\"superuser\":false}",
		"admins list":               `{"name":"admin","tags":"administrator","role":"admin"}`,
		"show mqtt.max_packet_size": `{"key":"mqtt.max_packet_size","value":"64KB","datatype":"size"}`,
	} {
		t.Run(args, func(t *testing.T) {
			got, _ := run(t, &admin.Options{Sources: fakenode.New().Sources()}, admin.Command{Args: strings.Fields(args), JSON: true})
			if got != want+"\n" {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	rows, _ := run(t, &admin.Options{Sources: fakenode.New().Sources()}, admin.Command{Args: []string{"actors", "tree"}, JSON: true})
	if n := strings.Count(rows, `{"id":"node`); n != 5 || strings.Count(rows, "\n") != 5 {
		t.Errorf("%d actors:\n%s", n, rows)
	}
}

func TestVMShowsWhatGoHasInThePlaceOfErlang(t *testing.T) {
	src := fakenode.New().Sources()
	all, code := ctl(t, src, "vm")
	parts := ""
	for _, part := range []string{"load", "memory", "process", "io", "ports"} {
		got, code := ctl(t, src, "vm", part)
		if code != 0 || got == "" {
			t.Errorf("%s: %d %q", part, code, got)
		}
		parts += got
	}
	names := regexp.MustCompile(`(?m)^(\S+) +: `)
	if got, want := names.FindAllString(all, -1), names.FindAllString(parts, -1); code != 0 || !slices.Equal(got, want) {
		t.Errorf("%d: all is %q, the parts are %q", code, got, want)
	}
	for _, line := range []string{"cpu/load1               : ", "process/count           : 1234\n", "ports/count           : 2\n", "io/max_fds              : "} {
		if !strings.Contains(all, line) {
			t.Errorf("%q is missing in\n%s", line, all)
		}
	}
}

func TestAKeyIsMadeAndItsSecretShownOnce(t *testing.T) {
	f := fakenode.New()
	made, code := ctl(t, f.Sources(), "apikeys", "add", "operator", "720h", "for the backup")
	m := regexp.MustCompile(`^id      : (\S+)\nsecret  : (\S+)\n$`).FindStringSubmatch(made)
	if code != 0 || m == nil {
		t.Fatalf("%d %s", code, made)
	}
	if _, err := f.Operators.Check(t.Context(), m[1], m[2], false); err != nil {
		t.Error(err)
	}
	list, _ := ctl(t, f.Sources(), "apikeys", "list")
	if strings.Contains(list, m[2]) || !strings.HasPrefix(list, "Key("+m[1]+", role=operator, created_at=") || !strings.HasSuffix(list, ", note=for the backup)\n") {
		t.Error(list)
	}
	if got, code := ctl(t, f.Sources(), "apikeys", "del", m[1]); code != 0 || got != "ok\n" {
		t.Errorf("%d %s", code, got)
	}
}

func TestLongListsComeInPagesAndEveryRowOnce(t *testing.T) {
	f := fakenode.New()
	f.ClientRows = nil
	for i := range 3*admin.PageRows + 7 {
		f.ClientRows = append(f.ClientRows, admin.ClientInfo{ID: fmt.Sprintf("client-%d", i)})
	}
	got, _ := ctl(t, f.Sources(), "clients", "list")
	if n := strings.Count(got, "\n"); n != len(f.ClientRows) {
		t.Errorf("%d lines for %d clients", n, len(f.ClientRows))
	}
	for i := range f.ClientRows {
		if !strings.Contains(got, fmt.Sprintf("Client(client-%d,", i)) {
			t.Fatalf("client %d is missing", i)
		}
	}
}

func TestPagesOfHugeRowsStayBelowTheLimitOfTheWire(t *testing.T) {
	f := fakenode.New()
	f.SubscriptionRows = nil
	for i := range 40 {
		f.SubscriptionRows = append(f.SubscriptionRows, admin.SubscriptionInfo{ClientID: "c1", Topic: strings.Repeat("x", 60_000) + fmt.Sprint(i)})
	}
	for _, args := range [][]string{{"subscriptions", "list"}, {"subscriptions", "show", "c1"}} {
		r, cmd, lines := admin.NewRegistry(), &admin.Command{Args: args}, 0
		for {
			res := r.Run(&admin.Options{Sources: f.Sources()}, cmd)
			if _, err := res.Serialize(); err != nil {
				t.Fatalf("%v: %v", args, err)
			}
			lines += strings.Count(res.Text, " -> ")
			if res.Cursor == "" {
				break
			}
			cmd.Cursor = res.Cursor
		}
		if lines != 40 {
			t.Errorf("%v: %d rows of 40", args, lines)
		}
	}
}

func TestRowThatIsLargerThanAFrameIsCut(t *testing.T) {
	f := fakenode.New()
	f.ClientRows = []admin.ClientInfo{{ID: strings.Repeat("\x01", 65_535), Username: strings.Repeat("\x02", 65_535)}, {ID: "next"}}
	got, _ := ctl(t, f.Sources(), "clients", "list")
	if !strings.Contains(got, "…\nClient(next,") {
		t.Errorf("%d bytes end with %q", len(got), got[len(got)-80:])
	}
	res := admin.NewRegistry().Run(&admin.Options{Sources: f.Sources()}, &admin.Command{Args: []string{"clients", "list"}})
	if _, err := res.Serialize(); err != nil {
		t.Error(err)
	}
}

func TestForgedCursorIsAnErrorAndNoPanic(t *testing.T) {
	src := fakenode.New().Sources()
	for _, cursor := range []string{"-1", "x", "99999999999999999999"} {
		res := admin.NewRegistry().Run(&admin.Options{Sources: src}, &admin.Command{Args: []string{"listeners"}, Cursor: cursor})
		if res.ExitCode != 1 || res.Text != "Error: bad cursor\n" {
			t.Errorf("%q: %+v", cursor, res)
		}
	}
}

func TestPluginCommandOverridesInItsPlaceAndLeavesAgain(t *testing.T) {
	r := admin.NewRegistry()
	names := func() (out []string) {
		for _, h := range r.Handlers() {
			out = append(out, h.Name)
		}
		return out
	}
	before := names()
	r.Set(&admin.Handler{Name: "recon", Run: func(*admin.Request) admin.Result { return admin.Result{Text: "1"} }})
	r.Set(&admin.Handler{Name: "last", Run: func(*admin.Request) admin.Result { return admin.Result{} }})
	r.Set(&admin.Handler{Name: "recon", Run: func(*admin.Request) admin.Result { panic("boom") }})
	if got := names(); !slices.Equal(got, append(slices.Clone(before), "recon", "last")) {
		t.Errorf("order %v", got)
	}
	res := r.Run(&admin.Options{Sources: fakenode.New().Sources()}, &admin.Command{Args: []string{"recon"}})
	if res.ExitCode != 1 || res.Text != "RPC to emq@127.0.0.1 error: boom\n" {
		t.Errorf("a panic gave %+v", res)
	}
	r.Remove("recon")
	r.Remove("last")
	if got := names(); !slices.Equal(got, before) {
		t.Errorf("left over: %v", got)
	}
}

func TestSetOfEMQWritesTheFile(t *testing.T) {
	f := fakenode.New()
	file := f.WithFile(t, "# mine")
	for _, tc := range []struct {
		args, want string
		code       int
	}{
		{"set mqtt.max_packet_size=1KB --app=emqttd", "mqtt.max_packet_size: 64KB -> 1KB  # for new connections\nConfiguration 2 is accepted: 1 change.\n", 0},
		{"set mqtt.max_paket_size=1KB", `did you mean "mqtt.max_packet_size"?`, 1},
		{"set mqtt.max_packet_size 1KB", "set <Key>=<Value>", admin.ExitUsage},
	} {
		if got, code := ctl(t, f.Sources(), strings.Fields(tc.args)...); !strings.Contains(got, tc.want) || code != tc.code {
			t.Errorf("%s: %d %s\nwant %d %s", tc.args, code, got, tc.code, tc.want)
		}
	}
	if got, _ := run(t, &admin.Options{Sources: f.Sources()}, admin.Command{Args: []string{"conf", "reload"}, JSON: true}); !strings.Contains(got, `"changes":[],"pending":[],"warnings":[]}`) {
		t.Errorf("what is empty is no list: %s", got)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\nmqtt.max_packet_size = 1KB\n" {
		t.Errorf("%v, the file is\n%s", err, text)
	}
}
