package web

import (
	"strings"
	"testing"

	"emqttd/tests/fakenode"
)

func TestV2ChangesThingsWithEMQsCodes(t *testing.T) {
	const done = `{"code":0,"result":[]}`
	f := fakenode.New()
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string // the beginning
	}{
		{"DELETE", "clients/c1", "", 200, done},
		{"DELETE", "clients/nobody", "", 200, `{"code":112,`},
		{"PUT", "clients/c1/clean_acl_cache", `{"topic":"t"}`, 200, done},
		{"PUT", "clients/nobody/clean_acl_cache", `{"topic":"t"}`, 200, `{"code":112,`},
		{"POST", "mqtt/publish", `{"topic":"a/b","payload":"x","qos":1,"retain":true,"client_id":"me"}`, 200, done},
		{"POST", "mqtt/publish", `{"topic":"a/#","payload":"x"}`, 200, `{"code":102,`},
		{"POST", "mqtt/publish", `{"topic":"a","payload":"x","qos":3}`, 200, `{"code":102,`},
		{"POST", "mqtt/publish", `{"topic":"a"}`, 400, `{"code":107,"message":"params error: payload is missing"}`},
		{"POST", "mqtt/publish", `{"topic":1,"payload":"x"}`, 400, `{"code":108,"message":"params type error"}`},
		{"POST", "mqtt/publish", `topic=a`, 400, `{"code":109,"message":"Body not json"}`},
		{"POST", "mqtt/publish", `null`, 400, `{"code":109,`},
		{"POST", "mqtt/publish", `{"topic":"a","payload":"` + strings.Repeat("x", maxBody) + `"}`, 413, `{"code":107,`},
		{"POST", "mqtt/subscribe", `{"client_id":"c1","topic":"a/#","qos":1}`, 200, done},
		{"POST", "mqtt/subscribe", `{"client_id":"nobody","topic":"a"}`, 200, `{"code":102,"message":"Session not found"}`},
		{"POST", "mqtt/subscribe", `{"client_id":"c1","topic":"a/#/b"}`, 200, `{"code":102,`},
		{"POST", "mqtt/subscribe", `{"client_id":"c1","topic":"a","qos":7}`, 200, `{"code":102,`},
		{"POST", "mqtt/unsubscribe", `{"client_id":"c1","topic":"a"}`, 200, done},
		{"POST", "mqtt/unsubscribe", `{"client_id":"c1"}`, 400, `{"code":107,`},
		{"GET", "nodes/emq@127.0.0.1/alarms", "", 200, `{"code":0,"result":[{"id":"a1","severity":"warning","title":"one","summary":"of them","occurred_at":"`},
		{"GET", "configs", "", 200, `{"code":0,"result":{"emq@127.0.0.1":[{"key":"mqtt.max_packet_size","value":"64KB","datatpye":"size","app":"emqttd"}`},
		{"GET", "nodes/emq@127.0.0.1/configs", "", 200, `{"code":0,"result":[{"key":"mqtt.max_packet_size",`},
		{"PUT", "configs/emqttd", `{"key":"mqtt.max_packet_size","value":"1KB"}`, 200, `{"code":102,"message":"the node was started without`},
		{"PUT", "configs/emq_dashboard", `{"key":"a","value":"b"}`, 200, `{"code":102,"message":"there are settings of emqttd only`},
		{"PUT", "configs/emqttd", `{"key":"mqtt.max_packet_size"}`, 400, `{"code":107,"message":"params error: value is missing"}`},
		{"GET", "monitoring/nodes", "", 200, `{"code":0,"result":[{"name":"emq@127.0.0.1","otp_release":"go`},
		{"GET", "monitoring/nodes/emq@127.0.0.1", "", 200, `{"code":0,"result":{"name":"emq@127.0.0.1",`},
		{"GET", "users", "", 200, `{"code":0,"result":[{"username":"admin","tags":"administrator"}]}`},
		{"GET", "users/nobody", "", 200, done},
		{"POST", "users", `{"username":"ann","password":"pw","tags":"operator"}`, 200, done},
		{"POST", "users", `{"username":"ann","password":"pw","tags":"operator"}`, 200, `{"code":113,`},
		{"POST", "users", `{"username":"ann","password":"pw"}`, 400, `{"code":107,`},
		{"GET", "users/ann", "", 200, `{"code":0,"result":{"username":"ann","tags":"operator"}}`},
		{"PUT", "users/ann", `{"tags":"viewer"}`, 200, done},
		{"PUT", "users/nobody", `{"tags":"viewer"}`, 200, `{"code":105,`},
		{"PUT", "users/admin", `{"tags":"viewer"}`, 200, `{"code":106,`},
		{"POST", "auth", `{"username":"ann","password":"pw"}`, 200, done},
		{"POST", "auth", `{"username":"ann","password":"no"}`, 200, `{"code":103,`},
		{"POST", "auth", `{"username":"","password":""}`, 200, `{"code":104,`},
		{"GET", "auth", "", 405, `{"code":102,`},
		{"PUT", "change_pwd/ann", `{"old_pwd":"no","new_pwd":"new"}`, 200, `{"code":114,`},
		{"PUT", "change_pwd/ann", `{"old_pwd":"pw","new_pwd":"new"}`, 200, done},
		{"PUT", "change_pwd/nobody", `{"old_pwd":"pw","new_pwd":"new"}`, 200, `{"code":105,`},
		{"DELETE", "users/ann", "", 200, done},
		{"DELETE", "users/ann", "", 200, `{"code":105,`},
		{"DELETE", "users/admin", "", 200, `{"code":106,`},
		{"GET", "nodes/emq@127.0.0.1/plugins", "", 200, `{"code":0,"result":[{"name":"emq_retainer","version":"1.0","description":"EMQ Retainer","active":true}`},
		{"PUT", "nodes/emq@127.0.0.1/plugins/emq_web_hook", `{"active":true}`, 200, `{"code":0,"result":[]}`},
		{"PUT", "nodes/emq@127.0.0.1/plugins/emq_retainer", `{"active":true}`, 200, `{"code":110,"message":"already_started"}`},
		{"PUT", "nodes/emq@127.0.0.1/plugins/emq_web_hook", `{"active":false}`, 200, `{"code":111,"message":"not_started"}`},
		{"PUT", "nodes/emq@127.0.0.1/plugins/none", `{"active":true}`, 200, `{"code":102,"message":"not_found"}`},
		{"PUT", "nodes/emq@127.0.0.1/plugins/none", `{}`, 400, `{"code":107,`},
	} {
		status, body := call(t, f.Sources(), tc.method, "/api/v2/"+tc.path, jsonBody, tc.body)
		if status != tc.status || !strings.HasPrefix(body, tc.want) {
			t.Errorf("%s %s %.80s\ngot  %d %s\nwant %d %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
	if len(f.Published) != 1 || f.Published[0].ClientID != "me" || !f.Published[0].Retain {
		t.Errorf("published %+v", f.Published)
	}
}

func TestPathsThatAreNotThereHaveAStatus(t *testing.T) {
	src := fakenode.New().Sources()
	for _, tc := range []struct {
		method, target string
		code           int
	}{
		{"GET", "/nothing", 404},
		{"GET", "/api/v2/nothing", 404},
		{"GET", "/api/v2/", 404},
		{"GET", "/api/v2/clients/..%2F..%2Fetc%2Fpasswd", 200}, // a client of that name, who is not there
		{"GET", "/api/v2/../../etc/passwd", 404},
		{"GET", "/api/v2//routes", 404},
		{"GET", "/api/v2/nodes/other/clients", 404},
		{"POST", "/api/v2/clients/c1", 405},
		{"GET", "/mqtt/publish", 405},
		{"DELETE", "/status", 405},
		{"GET", "/api/v2/routes?curr_page=0", 400},
		{"GET", "/api/v2/routes?page_size=all", 400},
		{"GET", "/api/v2/routes?page_size=1000000", 400},
		{"GET", "/api/v3/nothing", 404},
		{"GET", "/api/v3/", 404},
		{"PATCH", "/api/v3/clients", 405},
		{"GET", "/api/v3/clients/..%2F..%2Fetc", 404},
		{"GET", "/api/v3/../v2/routes", 404},
		{"GET", "/api/v4/clients", 404},
	} {
		if code, body := call(t, src, tc.method, tc.target, "", ""); code != tc.code || body == "" {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.target, code, body, tc.code)
		}
	}
}

func TestRootListsThePaths(t *testing.T) {
	code, body := call(t, fakenode.New().Sources(), "GET", "/", "", "")
	if code != 200 || !strings.HasPrefix(body, `{"paths":["status","mqtt/publish","api/v2/auth"`) || !strings.Contains(body, `"api/v2/routes/{topic}"`) {
		t.Errorf("%d %s", code, body)
	}
}
