package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/tests/fakenode"
)

func call(t *testing.T, src *admin.Sources, method, target, contentType, body string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000"
	r.SetBasicAuth("admin", "public")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	NewHandler(Options{Sources: src}).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	if k := w.Result().Header.Get("Content-Type"); strings.HasPrefix(k, "application/json") && !json.Valid(b) {
		t.Errorf("not JSON: %s", b)
	}
	return w.Code, string(b)
}

const form, jsonBody = "application/x-www-form-urlencoded", "application/json"

func TestPublishTakesFormsAndJSONAsEMQDid(t *testing.T) {
	for _, tc := range []struct {
		name, kind, body string
		want             []admin.PublishRequest
	}{
		{"form", form, "qos=1&retain=1&topic=a/b&message=hi%20there&client=me", []admin.PublishRequest{{ClientID: "me", Topic: "a/b", Payload: []byte("hi there"), QoS: 1, Retain: true}}},
		{"form with defaults", form, "topic=a&message=", []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte{}}}},
		{"several topics", form, "topic=a&topics=b,c&message=x", []admin.PublishRequest{
			{ClientID: "http", Topic: "a", Payload: []byte("x")}, {ClientID: "http", Topic: "b", Payload: []byte("x")}, {ClientID: "http", Topic: "c", Payload: []byte("x")},
		}},
		{"JSON with numbers", jsonBody, `{"topic":"a","message":"x","qos":2,"retain":1}`, []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte("x"), QoS: 2, Retain: true}}},
		{"JSON with text and booleans", jsonBody, `{"topic":"a","message":"x","qos":"1","retain":false}`, []admin.PublishRequest{{ClientID: "http", Topic: "a", Payload: []byte("x"), QoS: 1, Retain: false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fakenode.New()
			code, body := call(t, f.Sources(), "POST", "/mqtt/publish", tc.kind, tc.body)
			if code != 200 || body != "ok" || fmt.Sprint(f.Published) != fmt.Sprint(tc.want) {
				t.Errorf("%d %s, published %v, want %v", code, body, f.Published, tc.want)
			}
		})
	}
}

func TestBadPublishIsRefusedAndPublishesNothing(t *testing.T) {
	big := "topic=a&message=" + strings.Repeat("x", maxBody)
	for _, tc := range []struct {
		name, kind, body string
		code             int
		want             string
	}{
		{"qos", form, "topic=a&message=x&qos=3", 400, "Bad QoS"},
		{"retain", form, "topic=a&message=x&retain=yes", 400, "Bad Retain"},
		{"wildcard", form, "topic=a&topics=b,c/%23&message=x", 400, "Bad Topics"},
		{"empty among several", form, "topics=a,,b&message=x", 400, "Bad Topics"},
		{"long topic", form, "topic=" + strings.Repeat("t", maxTopic+1) + "&message=x", 400, "Bad Topics"},
		{"no topic", form, "message=x", 400, "Bad Topics"},
		{"no message", form, "topic=a", 400, "Bad Message"},
		{"not JSON", jsonBody, "topic=a", 400, `{"code":109,"message":"body not JSON"}`},
		{"JSON of another shape", jsonBody, `{"topic":"a","message":"x","qos":[1]}`, 400, `{"code":109,"message":"body not JSON"}`},
		{"bad form", form, "topic=%zz", 400, `{"code":109,"message":"body is not a form"}`},
		{"large form", form, big, 413, `{"code":107,"message":"body larger than 1048576 bytes"}`},
		{"large JSON", jsonBody, `{"message":"` + strings.Repeat("x", maxBody) + `"}`, 413, `{"code":107,"message":"body larger than 1048576 bytes"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fakenode.New()
			code, body := call(t, f.Sources(), "POST", "/mqtt/publish", tc.kind, tc.body)
			if code != tc.code || body != tc.want || len(f.Published) != 0 {
				t.Errorf("%d %s, %d published", code, body, len(f.Published))
			}
		})
	}
	for err, want := range map[error]int{admin.ErrTooLarge: 413, errors.New("overloaded"): 503} {
		f := fakenode.New()
		f.PublishError = err
		if code, body := call(t, f.Sources(), "POST", "/mqtt/publish", form, "topic=a&message=x"); code != want {
			t.Errorf("%v: %d %s", err, code, body)
		}
	}
}

func TestStatusTellsWhetherTheBrokerRuns(t *testing.T) {
	f := fakenode.New()
	if code, body := call(t, f.Sources(), "GET", "/status", "", ""); code != 200 || body != "Node emq@127.0.0.1 is started\nemqttd is running" {
		t.Errorf("%d %q", code, body)
	}
	f.Up = false
	if code, body := call(t, f.Sources(), "HEAD", "/status", "", ""); code != 503 || !strings.HasSuffix(body, "not_running") {
		t.Errorf("%d %q", code, body)
	}
}

func TestV2AnswersInEMQsShapes(t *testing.T) {
	client := `{"client_id":"c1","username":"undefined","ipaddress":"127.0.0.1","port":52011,"clean_sess":true,` +
		`"proto_ver":4,"keepalive":60,"connected_at":"` + admin.FormatTime(fakenode.Since) + `"}`
	session := `{"client_id":"c2","clean_sess":false,"subscriptions":0,"max_inflight":0,"inflight_len":5,"mqueue_len":7,` +
		`"mqueue_dropped":1,"awaiting_rel_len":4,"deliver_msg":3,"enqueue_msg":9,"created_at":"` + admin.FormatTime(fakenode.Since) + `"}`
	subs := `{"objects":[{"client_id":"c2","topic":"x","qos":2}]}`
	node := url.PathEscape("emq@127.0.0.1")
	for path, want := range map[string]string{
		"nodes/" + node + "/clients?page_size=1":              `{"current_page":1,"page_size":1,"total_num":2,"total_page":2,"objects":[` + client + `]}`,
		"nodes/" + node + "/clients?curr_page=9":              `{"current_page":9,"page_size":20,"total_num":2,"total_page":1,"objects":[]}`,
		"nodes/" + node + "/clients/c1":                       `{"objects":[` + client + `]}`,
		"clients/c1/":                                         `{"objects":[` + client + `]}`,
		"clients/nobody":                                      `{"objects":[]}`,
		"nodes/" + node + "/sessions?curr_page=2&page_size=1": `{"current_page":2,"page_size":1,"total_num":0,"total_page":0,"objects":[` + session + `]}`,
		"nodes/" + node + "/sessions/c2":                      `{"objects":[` + session + `]}`,
		"sessions/c2":                                         `{"objects":[` + session + `]}`,
		"nodes/" + node + "/subscriptions/c2":                 subs,
		"subscriptions/c2":                                    subs,
		"routes?page_size=1&curr_page=2":                      `{"current_page":2,"page_size":1,"total_num":2,"total_page":2,"objects":[{"topic":"b//c/","node":"emq@127.0.0.1"}]}`,
		"routes/b//c/":                                        `{"objects":[{"topic":"b//c/","node":"emq@127.0.0.1"}]}`,
		"routes/a%2F%23":                                      `{"objects":[{"topic":"a/#","node":"emq@127.0.0.1"}]}`,
		"monitoring/stats":                                    `[{"emq@127.0.0.1":{"clients/count":2,"clients/max":5,"routes/count":2}}]`,
		"monitoring/metrics/" + node:                          `{"bytes/received":1,"packets/sent":2}`,
		"monitoring/listeners": `[{"emq@127.0.0.1":[{"protocol":"mqtt:tcp","listen":"0.0.0.0:1883","acceptors":16,` +
			`"max_clients":102400,"current_clients":2,"shutdown_count":{"closed":10,"keepalive_timeout":3}}]}]`,
	} {
		t.Run(path, func(t *testing.T) {
			code, body := call(t, fakenode.New().Sources(), "GET", "/api/v2/"+path, "", "")
			if want = `{"code":0,"result":` + want + `}`; code != 200 || body != want {
				t.Errorf("%d\ngot  %s\nwant %s", code, body, want)
			}
		})
	}
	code, body := call(t, fakenode.New().Sources(), "GET", "/api/v2/management/nodes", "", "")
	if code != 200 || !strings.Contains(body, `"name":"emq@127.0.0.1","version":"0.1.0","sysdescr":"Go MQTT Broker","uptime":"3 minutes, 32 seconds"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestWalkToALatePageSkipsExactlyThePagesBefore(t *testing.T) {
	f := fakenode.New()
	f.ClientRows = nil
	for i := range 2*walkRows + 30 {
		f.ClientRows = append(f.ClientRows, admin.ClientInfo{ID: fmt.Sprint("c", i)})
	}
	_, body := call(t, f.Sources(), "GET", "/api/v2/nodes/emq@127.0.0.1/clients?curr_page=102&page_size=20", "", "")
	if !strings.Contains(body, `"objects":[{"client_id":"c2020"`) || strings.Count(body, "client_id") != 10 {
		t.Error(body)
	}
}
