package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load reads a file with the given text; it may have no errors.
func load(t *testing.T, text string) *Config {
	t.Helper()
	cfg, p := Load(Sources{File: write(t, text)})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// complaints are the problems of a file, with its path cut off.
func complaints(t *testing.T, src Sources) string {
	t.Helper()
	_, p := Load(src)
	return strings.ReplaceAll(p.String(), filepath.Dir(src.File)+string(filepath.Separator), "")
}

func TestLayersOverrideOneAnother(t *testing.T) {
	home := t.TempDir()
	file := writeAt(t, home, "etc/emq.conf", "node.name = file@h\nmqtt.max_clientid_len = 101\nmqtt.session.max_inflight = 1\nretainer.max_message_num = 1\n")
	writeAt(t, home, "etc/plugins/a.conf", "retainer.max_message_num = 2\nmqtt.session.max_inflight = 2\n")
	writeAt(t, home, "etc/plugins/readme.txt", "not read")
	src := Sources{
		File:  file,
		Env:   []string{"EMQ__mqtt__session__max_inflight=3", "EMQ_NODE_NAME=env@h", "HOME=/"},
		Flags: map[string]string{"node.name": "flag@h"},
	}
	cfg, p := Load(src)
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.MQTT.MaxPacketSize, cfg.MQTT.MaxClientIDLen, cfg.Retainer.MaxMessages, cfg.MQTT.Session.MaxInflight, cfg.Node.Name}
	if want := []any{65536, 101, 2, 3, "flag@h"}; !reflect.DeepEqual(got, want) {
		t.Errorf("default, file, plugin file, environment, flag: got %v, want %v", got, want)
	}
}

func TestPluginFilesAreReadFromTheirFolder(t *testing.T) {
	home := t.TempDir()
	file := writeAt(t, home, "etc/emq.conf", "mqtt.plugins.etc_dir = more\n")
	writeAt(t, home, "more/b.conf", "retainer.max_message_num = 2\n")
	writeAt(t, home, "more/a.conf", "retainer.max_message_num = 1\n")
	writeAt(t, home, "other/a.conf", "retainer.max_message_num = 3\n")
	for env, want := range map[string]int{"": 2, "EMQ__mqtt__plugins__etc_dir=other": 3} {
		cfg, p := Load(Sources{File: file, Env: []string{env}})
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
		if cfg.Retainer.MaxMessages != want {
			t.Errorf("%q: got %d, want %d", env, cfg.Retainer.MaxMessages, want)
		}
	}
}

func TestAllProblemsAreReportedAtOnceInTheirOrder(t *testing.T) {
	file := write(t, `node.name = emq
mqtt.max_paket_size = 1MB
mqtt.max_clientid_len = 22
sesame
mqtt.session.retry_interval = soon
module.rewrite = on
node.smp = auto
mqtt.mqueue.low_watermark = 70%
mqtt.session.retry_interval = later
listener.tcp.a.acceptors = 4
listener.tcp.a.backlog = 4
listener.tcp.b = 1883
listener.tcp.b.acceptors = 0
listener.tcp.c = 127.0.0.1:1883
listener.tcp.d.rate_limit = 100,10
mqtt.mqueue.priority = a/b=256
mqtt.broker.sys_interval = 10ms
mqtt.keepalive_backoff = 0.1
log.dir =
`)
	want := `error: emq.conf:1: node.name: expected name@host, of letters, digits and _ . -; got "emq"
error: emq.conf:2: mqtt.max_paket_size: unknown key (did you mean "mqtt.max_packet_size"?)
error: emq.conf:3: mqtt.max_clientid_len: must be at least 23; got "22"
error: emq.conf:4: expected ` + "`key = value`" + `
error: emq.conf:6: module.rewrite: belongs in etc/plugins/emq_mod_rewrite.conf
error: emq.conf:8: mqtt.mqueue.low_watermark: must not be above mqtt.mqueue.high_watermark; got "70%"
error: emq.conf:9: mqtt.session.retry_interval: expected a duration such as 30s, 5m, 2h, 1d2h or 500ms (a bare number is seconds); got "later"
error: emq.conf:10: listener.tcp.a.acceptors: the listener has no address: add ` + "`listener.tcp.a = IP:port`" + `, or remove its options
error: emq.conf:13: listener.tcp.b.acceptors: must be at least 1; got "0"
error: emq.conf:14: listener.tcp.c: 127.0.0.1:1883 is taken by listener.tcp.b = 0.0.0.0:1883
error: emq.conf:15: listener.tcp.d.rate_limit: the listener has no address: add ` + "`listener.tcp.d = IP:port`" + `, or remove its options
error: emq.conf:16: mqtt.mqueue.priority: must be at most 255; got "a/b=256"
error: emq.conf:17: mqtt.broker.sys_interval: must be 0, or at least 1s; got "10ms"
error: emq.conf:18: mqtt.keepalive_backoff: must be at least 0.5; got "0.1"
error: emq.conf:19: log.dir: a value is required; there is no value
warning: emq.conf:7: node.smp: ignored: there is no Erlang VM to tune
warning: emq.conf:9: mqtt.session.retry_interval: given twice: this line wins over emq.conf:5
`
	if got := complaints(t, Sources{File: file}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if cfg, _ := Load(Sources{File: file}); cfg != nil {
		t.Error("there is a Config in spite of errors")
	}
}

func TestKeyGivenUnderItsOldAndItsNewNameIsGivenTwice(t *testing.T) {
	file := write(t, "mqtt.queue.qos0 = false\nmqtt.mqueue.store_qos0 = true\n")
	want := "warning: emq.conf:2: mqtt.mqueue.store_qos0: given twice: this line wins over emq.conf:1 as mqtt.queue.qos0\n"
	if got := complaints(t, Sources{File: file}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnreadableFilesAreNamed(t *testing.T) {
	home := t.TempDir()
	loop := writeAt(t, home, "etc/emq.conf", "include emq.conf\ninclude missing.conf\ninclude none/*.conf\ninclude [\n")
	want := "error: emq.conf:1: the include leads back to a file that is being read\n" +
		"error: emq.conf:2: the included file does not exist\n" +
		"error: emq.conf:4: the pattern of the include is malformed\n"
	if got := complaints(t, Sources{File: loop}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	missing := filepath.Join(home, "etc", "none.conf")
	if got := complaints(t, Sources{File: missing}); !strings.HasPrefix(got, "error: none.conf: cannot be read: ") {
		t.Errorf("missing file: %s", got)
	}
	if got := complaints(t, Sources{File: home}); !strings.Contains(got, "cannot be read: ") {
		t.Errorf("folder in place of a file: %s", got)
	}
}

func TestIncludedFilesStandWhereTheyAreIncluded(t *testing.T) {
	home := t.TempDir()
	file := writeAt(t, home, "etc/emq.conf", "mqtt.max_clientid_len = 100\ninclude conf.d/*.conf\nmqtt.session.max_inflight = 7\n")
	writeAt(t, home, "etc/conf.d/1.conf", "mqtt.max_clientid_len = 200\nmqtt.session.max_inflight = 8\ninclude deep/x\n")
	writeAt(t, home, "etc/conf.d/deep/x", "retainer.max_message_num = 9\n")
	cfg, p := Load(Sources{File: file})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	got := []int{cfg.MQTT.MaxClientIDLen, cfg.MQTT.Session.MaxInflight, cfg.Retainer.MaxMessages}
	if want := []int{200, 7, 9}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(p.Warnings) != 2 {
		t.Errorf("two keys are given twice, but there are %d warnings: %s", len(p.Warnings), p)
	}
}

func TestListenersExistOnlyWhereTheyAreNamed(t *testing.T) {
	if l := load(t, "node.name = a@b\n").Listeners; len(l) != 0 {
		t.Errorf("nothing names a listener, but there are %v", l)
	}
	cfg, p := Load(Sources{
		File:  write(t, "listener.tcp.b.acceptors = 3\nlistener.tcp.b = 1\nlistener.tcp.a\\.x = ::1:2\nlistener.api.m = 127.0.0.1:3\n"),
		Env:   []string{"EMQ_TCP_PORT=4"},
		Flags: map[string]string{"listener.tcp.f": "127.0.0.1:5"},
	})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range cfg.Listeners {
		got = append(got, fmt.Sprintf("%s %s %d", l.Key(), l.Address, l.Acceptors))
	}
	want := []string{
		"listener.tcp.b 0.0.0.0:1 3", `listener.tcp.a\.x [::1]:2 16`, "listener.api.m 127.0.0.1:3 4",
		"listener.tcp.external 0.0.0.0:4 16", "listener.tcp.f 127.0.0.1:5 16",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHarmlessValuesOfMissingFeaturesAreAccepted(t *testing.T) {
	text := "listener.api.a = 127.0.0.1:1\n" +
		"cluster.discovery = manual\nmodule.rewrite = off\nnode.proto_dist = inet_tcp\n"
	if got := complaints(t, Sources{File: write(t, text)}); got != "" {
		t.Errorf("got %s", got)
	}
	for _, refused := range []string{
		"cluster.discovery = etcd", "module.rewrite = on", "node.proto_dist = inet_tls",
	} {
		if got := complaints(t, Sources{File: write(t, "listener.api.a = 127.0.0.1:1\n"+refused)}); !strings.HasPrefix(got, "error: emq.conf:2: ") {
			t.Errorf("%s: got %s", refused, got)
		}
	}
}

func TestAPIMayListenWhereOthersReachIt(t *testing.T) {
	for _, address := range []string{"127.0.0.1:8080", "[::1]:8080", "8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080"} {
		c, p := Load(Sources{Flags: map[string]string{"listener.api.mgmt": address}})
		if p.Err() != nil || c.Listeners[0].IsLocal() != (address == "127.0.0.1:8080" || address == "[::1]:8080") {
			t.Errorf("%s: %v", address, p.Err())
		}
	}
}

func TestShippedCookieIsRefusedWhereOthersReachTheNode(t *testing.T) {
	tests := []struct {
		flags map[string]string
		want  string // part of the error; empty for none
	}{
		{map[string]string{"node.dist_listen": "127.0.0.1:7000"}, ""},
		{map[string]string{"node.dist_listen": "10.0.0.1:7000"}, "everybody knows the cookie"},
		{map[string]string{"node.dist_listen": "10.0.0.1:7000", "node.cookie": "mine"}, ""},
		{map[string]string{"node.dist_listen": "7000", "node.cookie": "mine"}, "set node.dist_advertise"},
		{map[string]string{"node.dist_listen": "7000", "node.cookie": "mine", "node.dist_advertise": "node1:7000"}, ""},
	}
	for _, test := range tests {
		_, p := Load(Sources{Flags: test.flags})
		if err := p.Err(); test.want == "" && err != nil || test.want != "" && !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%v: got %v, want %q", test.flags, err, test.want)
		}
	}
}

func TestAdvertisedAddressIsTheOneListenedOnUnlessSet(t *testing.T) {
	cfg := load(t, "node.dist_listen = 127.0.0.1:7000\nlog.dir = /var/log/emqttd\n")
	if cfg.Node.DistAdvertise != "127.0.0.1:7000" || cfg.Log.Error.File != "/var/log/emqttd/error.log" {
		t.Errorf("advertise %q, error log %q", cfg.Node.DistAdvertise, cfg.Log.Error.File)
	}
	if cfg := load(t, "log.error.file =\n"); cfg.Log.Error.File != "" {
		t.Errorf("error log %q, want none", cfg.Log.Error.File)
	}
}

func TestSecretsAppearNowhere(t *testing.T) {
	const secret = "sesame"
	text := "node.cookie = " + secret + "\nauth.redis.password = " + secret + "\nauth.username.tom = " + secret + "\n" +
		"stomp.default_user.passcode = " + secret + "\nnode.cookie " + secret + "\n" +
		"node.cookie = " + strings.Repeat(secret, 50) + "\n"
	cfg, p := Load(Sources{
		File: write(t, text), Env: []string{"EMQ_NODE_COOKIE=" + secret + "\x01"},
		Flags: map[string]string{"node cookie": secret},
	})
	if cfg != nil || len(p.Errors) != 5 {
		t.Errorf("%d errors", len(p.Errors))
	}
	ok, _ := Load(Sources{Flags: map[string]string{
		"node.cookie": secret, "auth.redis.password": secret, "auth.username.tom": secret, "auth.client.1.clientid": "a",
		"auth.client.1.password": secret, "auth.jwt.secret": secret, "auth.cookie.secret": secret, "auth.ldap.bind_password": secret,
	}})
	if ok.Node.Cookie != secret {
		t.Fatalf("cookie %q", ok.Node.Cookie)
	}
	all := p.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v", ok, ok, ok, *ok, *ok, ok.Node, ok.Node, p)
	encoded, err := json.Marshal(ok)
	if err != nil {
		t.Fatal(err)
	}
	all += string(encoded)
	if strings.Contains(all, secret) {
		t.Errorf("the secret is in\n%s", all)
	}
	if !strings.Contains(ok.Dump(), "node.cookie = ******\n") {
		t.Errorf("the dump does not mask the cookie:\n%s", ok.Dump())
	}
}

func TestEnvironmentNamesKeysInTwoWays(t *testing.T) {
	cfg, p := Load(Sources{Env: []string{
		"EMQ_MAX_PACKET_SIZE=1MB", "EMQ__MQTT__MAX_CLIENTID_LEN=99", "EMQ__listener__tcp__a=127.0.0.1:0", "EMQ_NODE_COOKIE=",
		"EMQ_NODE_NAME=a@b", "EMQ__node__name=c@d", "EMQ_TYPO=1", "EMQ__mqtt__session__max_infligt=1", "EMQ__=1", "EMQ_SSL_PORT=x",
	}})
	want := `error: environment: EMQ_SSL_PORT: listener.ssl.external: expected a port, IP:port or [IPv6]:port, such as 1883, 127.0.0.1:1883 or [::1]:1883; got "x"
error: environment: EMQ__: expected ` + "`key = value`" + `: there is no key before the ` + "`=`" + `
error: environment: EMQ__mqtt__session__max_infligt: mqtt.session.max_infligt: unknown key (did you mean "mqtt.session.max_inflight"?)
warning: environment: EMQ_TYPO: no such variable is known; it has no effect
`
	if got := p.String(); got != want || cfg != nil {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cfg, p = Load(Sources{Env: []string{
		"EMQ_MAX_PACKET_SIZE=1MB", "EMQ__MQTT__MAX_CLIENTID_LEN=99", "EMQ__listener__tcp__a=127.0.0.1:0", "EMQ_NODE_COOKIE=",
		"EMQ_NODE_NAME=a@b", "EMQ__node__name=c@d",
	}})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.MQTT.MaxPacketSize, cfg.MQTT.MaxClientIDLen, cfg.Listeners[0].Key(), cfg.Node.Cookie, cfg.Node.Name}
	if want := []any{1 << 20, 99, "listener.tcp.a", shippedCookie, "c@d"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFlagsAreCheckedLikeFiles(t *testing.T) {
	_, p := Load(Sources{Flags: map[string]string{"mqtt.max_packet_size": "big", "a b": "c"}})
	want := "error: flag: ' ' may not be in a key\n" +
		`error: flag: mqtt.max_packet_size: expected a size in bytes such as 1024, 64KB or 1MB; got "big"` + "\n"
	if got := p.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHomeIsTheFolderThatHoldsEtc(t *testing.T) {
	home := t.TempDir()
	file := writeAt(t, home, "etc/emq.conf", "")
	flat := writeAt(t, home, "flat/emq.conf", "")
	other := t.TempDir()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		src  Sources
		want string
	}{
		{Sources{File: file}, home},
		{Sources{File: flat}, filepath.Join(home, "flat")},
		{Sources{File: file, Env: []string{"EMQ_HOME=" + other}}, other},
		{Sources{}, wd},
	}
	for _, test := range tests {
		cfg, p := Load(test.src)
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
		if cfg.Node.Home != test.want || cfg.Path("data") != filepath.Join(test.want, "data") {
			t.Errorf("%+v: home %s, data %s, want %s", test.src, cfg.Node.Home, cfg.Path("data"), test.want)
		}
		if abs := filepath.Join(home, "x"); cfg.Path(abs) != abs {
			t.Errorf("%s became %s", abs, cfg.Path(abs))
		}
	}
}

func TestInfinityIsNoLimit(t *testing.T) {
	cfg := load(t, "mqtt.queue.max_length = infinity\nmqtt.mqueue.type = priority\nmqtt.mqueue.priority = a=1,b=2\n")
	want := MQueue{
		Priority: true, Priorities: map[string]int{"a": 1, "b": 2}, MaxBytes: 16 << 20,
		LowWatermark: 0.2, HighWatermark: 0.6, StoreQoS0: true,
	}
	if !reflect.DeepEqual(cfg.MQTT.MQueue, want) {
		t.Errorf("got %+v, want %+v", cfg.MQTT.MQueue, want)
	}
}

func TestDefaultsFollowEMQ2311(t *testing.T) {
	d := Default()
	if d.MQTT.IdleTimeout != 30*time.Second || !d.MQTT.AllowAnonymous || !d.MQTT.ACLNoMatchAllow || d.MQTT.MQueue.MaxLength != 0 {
		t.Errorf("got %+v", d.MQTT)
	}
	want := Session{MaxInflight: 100, RetryInterval: 20 * time.Second, MaxAwaitingRel: 1000, AwaitRelTimeout: 30 * time.Second, ExpiryInterval: 2 * time.Hour}
	if d.MQTT.Session != want {
		t.Errorf("session %+v, want %+v", d.MQTT.Session, want)
	}
}

func TestDumpOfAConfigurationReadsBackAsItself(t *testing.T) {
	cfg := load(t, "listener.tcp.a\\.b = ::1:2\nlistener.tcp.a\\.b.recbuf = 4KB\nlistener.api.m = 127.0.0.1:3\nmqtt.mqueue.priority = b=1,a=2\n"+
		"mqtt.acl_nomatch = deny\nmqtt.mqueue.type = priority\nmqtt.keepalive_backoff = 0.8\nlog.info.file = log/info.log\n")
	again := load(t, strings.Replace(cfg.Dump(), "******", cfg.Node.Cookie, 1))
	again.Node.Home = cfg.Node.Home
	if !reflect.DeepEqual(cfg, again) {
		t.Errorf("first difference %s", firstDifference(again.Dump(), cfg.Dump()))
	}
}
