package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestModulesAreThoseOfWhichAKeyIsSetInThatOrder(t *testing.T) {
	cfg := load(t, "auth.redis.server = a:1\nauth.client.1.clientid = c\nauth.client.1.password = p\nauth.redis.pool = 9\nauth.source.1 = deny all\n")
	if want := []string{"redis", "clientid", "source"}; !slices.Equal(cfg.Access.Modules, want) {
		t.Errorf("got %q, want %q", cfg.Access.Modules, want)
	}
	if cfg.MQTT.AllowAnonymous {
		t.Error("anybody may come in although there are modules")
	}
	if cfg := load(t, ""); len(cfg.Access.Modules) != 0 || !cfg.MQTT.AllowAnonymous {
		t.Errorf("without settings: modules %q, anonymous %t", cfg.Access.Modules, cfg.MQTT.AllowAnonymous)
	}
}

func TestModulesThatAreNamedAreTheOnlyOnes(t *testing.T) {
	cfg := load(t, "auth.redis.server = a:1\naccess.modules = emq_auth_http, username\n")
	if want := []string{"http", "username"}; !slices.Equal(cfg.Access.Modules, want) {
		t.Errorf("got %q, want %q", cfg.Access.Modules, want)
	}
	if cfg := load(t, "auth.redis.server = a:1\naccess.modules =\n"); len(cfg.Access.Modules) != 0 || !cfg.MQTT.AllowAnonymous {
		t.Errorf("none: modules %q, anonymous %t", cfg.Access.Modules, cfg.MQTT.AllowAnonymous)
	}
}

func TestAllowAnonymousIsObeyedWhereItIsSet(t *testing.T) {
	if cfg := load(t, "mqtt.allow_anonymous = true\nauth.source.1 = deny all\n"); !cfg.MQTT.AllowAnonymous {
		t.Error("the setting was overruled")
	}
}

func TestMistakesInAccessSettingsAreReported(t *testing.T) {
	got := complaints(t, Sources{File: write(t, `access.modules = redis,sqlite,redis
auth.user.1.username = tom
auth.client.x.password = hush
auth.source.first = deny all
auth.source.1 = forbid all
auth.source.2 = deny 10.0.0.0/99
auth.redis.server = nowhere
auth.pgsql.pool = 0
auth.mysql.timeout = 1ms
auth.mongo.acl_query.selector.a = username=%u
access.backoff.size = 1
`)})
	want := `error: emq.conf:1: access.modules: expected auto, or some of source, x509, cookie, clientid, username, jwt, redis, mysql, pgsql, mongo, ldap, http; got "sqlite"
error: emq.conf:1: access.modules: redis is given twice
error: emq.conf:2: auth.user.1.username: a name needs a password, and a password a name
error: emq.conf:3: auth.client.x.password: a name needs a password, and a password a name
error: emq.conf:4: auth.source.first: expected a number at the end of the key, which says in which order they are tried; got "deny all"
error: emq.conf:5: auth.source.1: expected allow, deny or user:NAME, and an IP, a CIDR or all; got "forbid all"
error: emq.conf:6: auth.source.2: expected an IP or a CIDR, such as 10.0.0.0/8; got "deny 10.0.0.0/99"
error: emq.conf:7: auth.redis.server: expected host:port, such as 192.0.2.7:6369 or node1.example.com:6369; got "nowhere"
error: emq.conf:8: auth.pgsql.pool: must be at least 1; got "0"
error: emq.conf:9: auth.mysql.timeout: must be at least 10ms; got "1ms"
error: emq.conf:10: auth.mongo.acl_query.selector.a: expected a number at the end of the key, which says in which order they are tried; got "username=%u"
error: emq.conf:11: access.backoff.size: must be at least 16; got "1"
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAccessSettingsSurviveADump(t *testing.T) {
	cfg := load(t, `auth.user.2.username = tom
auth.user.2.password = hush
auth.username.jerry\.m = hush
auth.client.1.clientid = c
auth.client.1.password = hush
auth.source.10 = deny all
auth.source.9 = user:plant 10.1.2.3/8
auth.mongo.acl_query.selector.2 = clientid=%c
auth.mongo.acl_query.selector.1 = username=%u
auth.redis.server = a:1, 127.0.0.1:2
auth.pgsql.ssl_opts.verify = verify_none
auth.http.auth_req = http://a/b
auth.http.auth_req.method = get
`)
	again := load(t, cfg.Dump())
	if got, want := again.Dump(), cfg.Dump(); got != want {
		t.Errorf("first difference %s", firstDifference(got, want))
	}
	for _, c := range []*Config{cfg, again} {
		a := &c.Auth
		got := fmt.Sprintln(a.Sources, a.Mongo.Selectors(), a.Redis.Servers, a.PgSQL.TLS.NoVerify, a.HTTP.Auth.URL, a.HTTP.Auth.Method)
		if want := "[user:plant 10.0.0.0/8 deny all] [username=%u clientid=%c] [a:1 127.0.0.1:2] true http://a/b get\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if want := []Login{{"2", "tom", "hush"}, {"", "jerry.m", "hush"}}; !reflect.DeepEqual(cfg.Auth.Users, want) {
		t.Errorf("users %v", cfg.Auth.Users)
	}
	if !reflect.DeepEqual(Default().Auth.Mongo.Selectors(), []string{"username=%u"}) {
		t.Error("the one selector is not the default")
	}
}

func TestASecretIsNotPrinted(t *testing.T) {
	cfg := load(t, "auth.redis.password = sesame\nauth.user.1.username = tom\nauth.user.1.password = sesame\n")
	if all := fmt.Sprintf("%v %+v %#v %s", cfg.Auth, cfg.Auth, cfg.Auth.Redis, cfg.Auth.Users); strings.Contains(all, "sesame") {
		t.Errorf("it is in %s", all)
	}
	if cfg.Auth.Redis.Password != "sesame" || cfg.Auth.Users[0].Password != "sesame" {
		t.Error("it is lost")
	}
}
