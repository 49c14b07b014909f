package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"emqttd/actors/admin"
	"emqttd/actors/admin/events"
	"emqttd/tests/fakenode"
)

func TestV3AnswersAndRefuses(t *testing.T) {
	f := fakenode.New()
	const c1 = `{"client_id":"c1","username":"","ip":"127.0.0.1","port":52011,"clean_session":true,"protocol_version":4,"keepalive":60,"connected_at":"`
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string // is part of the answer
	}{
		{"GET", "nodes", "", 200, `{"items":[{"name":"emq@127.0.0.1","version":"0.1.0","running":true`},
		{"GET", "nodes/other@h", "", 404, `"detail":"no such node"`},
		{"GET", "stats", "", 200, `{"clients/count":2,"clients/max":5,"routes/count":2}`},
		{"GET", "metrics", "", 200, `{"bytes/received":1,"packets/sent":2}`},
		{"GET", "alarms", "", 200, `{"items":[{"id":"a1","severity":"warning","title":"one","summary":"of them","occurred_at":"2016-`},
		{"GET", "configs", "", 200, `{"key":"node.cookie","value":"******","datatype":"string"}`},
		{"GET", "listeners", "", 200, `{"items":[{"name":"tcp.external","running":true,"protocol":"mqtt:tcp"`},
		{"POST", "listeners/tcp.external/restart", "", 204, ""},
		{"POST", "listeners/tcp.other/restart", "", 404, "no such listener"},
		{"POST", "listeners/tcp.external/explode", "", 422, "expected value to be one of"},
		{"GET", "clients?limit=1", "", 200, `{"items":[` + c1},
		{"GET", "clients?username=al", "", 200, `{"items":[{"client_id":"c2\u001b[2J","username":"al"`},
		{"GET", "clients?prefix=c1&ip=127.0.0.1&clean_session=true", "", 200, `{"items":[` + c1},
		{"GET", "clients?clean_session=maybe", "", 422, "expected value to be one of"},
		{"GET", "clients?limit=0", "", 422, "expected number >= 1"},
		{"GET", "clients?limit=1001", "", 422, "expected number <= 1000"},
		{"GET", "clients?cursor=nonsense", "", 422, "not a cursor of this list"},
		{"GET", "clients/c1", "", 200, c1},
		{"GET", "clients/nobody", "", 404, `"status":404`},
		{"DELETE", "clients/c1", "", 204, ""},
		{"DELETE", "clients/nobody", "", 404, "not connected"},
		{"PUT", "clients/c1/clean_acl_cache", "", 204, ""},
		{"GET", "sessions?queued=1", "", 200, `{"items":[{"client_id":"c2","connected":false,"clean_session":false,"subscriptions":0`},
		{"GET", "sessions?connected=true", "", 200, `{"items":[]}`},
		{"GET", "sessions/c2", "", 200, `"queue":7,"queue_dropped":1`},
		{"GET", "sessions/nobody", "", 404, "no such session"},
		{"GET", "sessions/c2/messages", "", 200, `{"inflight":[{"topic":"t","qos":1,"size":5,"from":"c1","arrived_at":"2016-11-22T09:46:40Z","packet_id":7,"waits_for":"puback"}],"queue":[`},
		{"GET", "sessions/nobody/messages", "", 404, "no such session"},
		{"GET", "sessions/c1/subscriptions", "", 200, `{"client_id":"c1","topic":"b//c/","share":"g","qos":0}`},
		{"GET", "subscriptions?client_id=c2", "", 200, `{"items":[{"client_id":"c2","topic":"x","qos":2}]}`},
		{"GET", "subscriptions?topic=a/%23&qos=1", "", 200, `{"items":[{"client_id":"c1","topic":"a/#","qos":1}]}`},
		{"GET", "subscriptions?share=g", "", 200, `{"items":[{"client_id":"c1","topic":"b//c/","share":"g","qos":0}]}`},
		{"GET", "topics?prefix=b", "", 200, `{"items":[{"topic":"b//c/"}]}`},
		{"GET", "routes", "", 200, `{"items":[{"topic":"a/#","node":"emq@127.0.0.1"}`},
		{"GET", "routes/b//c/", "", 200, `{"items":[{"topic":"b//c/","node":"emq@127.0.0.1"}]}`},
		{"GET", "routes/none", "", 404, "nobody subscribes"},
		{"GET", "retained", "", 200, `{"items":[{"topic":"r/1"},{"topic":"r/2"}]}`},
		{"DELETE", "retained", "", 200, `{"deleted":2}`},
		{"POST", "publish", `{"topic":"a/b","payload":"aGk=","encoding":"base64","qos":1}`, 204, ""},
		{"POST", "publish", `{"topic":"a/#","payload":"x"}`, 422, `"status":422`},
		{"POST", "publish", `{"topic":"a","payload":"%","encoding":"base64"}`, 422, "not base64"},
		{"POST", "publish", `{"topic":"a","payload":"x","qos":3}`, 422, "expected number <= 2"},
		{"POST", "publish", `{"topic":"a","payload":"x","colour":"red"}`, 422, "unexpected property"},
		{"POST", "publish", `{"topic":"a"}`, 422, "expected required property payload"},
		{"POST", "publish", `{"topic":`, 400, `"status":400`},
		{"POST", "publish", "", 400, "request body is required"},
		{"POST", "publish", `{"topic":"a","payload":"` + strings.Repeat("x", maxBody) + `"}`, 413, `"status":413`},
		{"POST", "publish/bulk", `{"items":[{"topic":"a","payload":"1"},{"topic":"#","payload":"2"}]}`, 200, `{"items":[{"ok":true},{"ok":false,"error":"`},
		{"POST", "publish/bulk", `{"items":[]}`, 422, "expected array length"},
		{"POST", "subscribe", `{"client_id":"c1","topic":"$share/g/t","qos":1}`, 204, ""},
		{"POST", "subscribe", `{"client_id":"nobody","topic":"t"}`, 404, "no such session"},
		{"POST", "subscribe", `{"client_id":"c1","topic":"a/#/b"}`, 422, `"status":422`},
		{"POST", "subscribe/bulk", `{"items":[{"client_id":"c1","topic":"t"},{"client_id":"nobody","topic":"t"}]}`, 200, `{"items":[{"ok":true},{"ok":false,"error":"no such session"}]}`},
		{"POST", "unsubscribe", `{"client_id":"c1","topic":"t"}`, 204, ""},
		{"GET", "actors/tree", "", 200, `{"id":"node","name":"node","mailbox":0,"restarts":0,"child_count":2,"children":[{"id":"node/sessions"`},
		{"GET", "actors/tree/node/nothing", "", 404, "no such actor"},
		{"GET", "actors/one/node/admin", "", 200, `"kind":"*admin.admin","mailbox":3`},
		{"DELETE", "actors/one/node/sessions/1", "", 204, ""},
		{"DELETE", "actors/one/node", "", 409, "the root is not killed"},
		{"GET", "actors/top?by=rate&limit=1", "", 200, `{"looked_at":3,"left_out":5,"actors":[{"id":"node/sessions/1"`},
		{"GET", "users", "", 200, `{"items":[{"name":"boss","superuser":true},{"name":"joe","superuser":false}]}`},
		{"POST", "users", `{"name":"ann/1","password":"x"}`, 201, ""},
		{"POST", "users", `{"name":"ann/1","password":"x"}`, 409, "already"},
		{"PUT", "users/ann%2F1", `{"password":"y","superuser":true}`, 204, ""},
		{"PUT", "users/ann/1", `{"name":"other","password":"y"}`, 422, "cannot be renamed"},
		{"DELETE", "users/ann/1", "", 204, ""},
		{"DELETE", "users/ann%2F1", "", 404, "none of that name"},
		{"POST", "users", `{"name":"","password":"x"}`, 422, "expected length >= 1"},
		{"POST", "clientids", `{"name":"c","password":"x"}`, 201, ""},
		{"DELETE", "clientids/c", "", 204, ""},
		{"POST", "banned", `{"kind":"peerhost","who":"10.0.0.0/8","seconds":60,"reason":"r"}`, 201, ""},
		{"GET", "banned", "", 200, `{"items":[{"kind":"peerhost","who":"10.0.0.0/8","until":"`},
		{"POST", "banned", `{"kind":"shoe","who":"10.0.0.0/8"}`, 422, "expected value to be one of"},
		{"POST", "banned", `{"kind":"peerhost","who":"here"}`, 422, "an IP address or a CIDR"},
		{"POST", "banned", `{"kind":"clientid","who":"x","seconds":-1}`, 422, "expected number >= 0"},
		{"DELETE", "banned/peerhost/10.0.0.0/8", "", 204, ""},
		{"DELETE", "banned/peerhost/10.0.0.0/8", "", 404, "no such ban"},
		{
			"POST", "access/test", `{"clientid":"c","username":"joe","password":"j-secret","publish":["joe/a"],"subscribe":["#"]}`, 200,
			`"topics":[{"action":"publish","topic":"joe/a","allow":true,"why":"acl.conf:1"},{"action":"subscribe","topic":"#","allow":false,"why":"acl.conf:2"}]`,
		},
		{"GET", "access/stats", "", 200, `{"items":[{"name":"username","ok":0`},
		{"PUT", "acl/reload", "", 409, "no file of access rules"},
		{"POST", "admins", `{"name":"eve","password":"pw","tags":"operator"}`, 201, ""},
		{"POST", "admins", `{"name":"eve","password":"pw"}`, 409, "already"},
		{"PUT", "admins/eve", `{"tags":"viewer"}`, 204, ""},
		{"PUT", "admins/eve", `{}`, 422, "a password or tags"},
		{"PUT", "admins/nobody", `{"password":"x"}`, 404, "none of that name"},
		{"GET", "admins", "", 200, `{"name":"eve","tags":"viewer","role":"viewer"}`},
		{"DELETE", "admins/eve", "", 204, ""},
		{"DELETE", "admins/admin", "", 409, "may not be deleted"},
		{"POST", "apikeys", `{"role":"viewer","seconds":60,"note":"n"}`, 201, `{"id":"key-`},
		{"POST", "apikeys", `{"role":"king"}`, 422, "expected value to be one of"},
		{"GET", "apikeys", "", 200, `"role":"viewer","note":"n","created_at":"`},
		{"DELETE", "apikeys/nobody", "", 404, "none of that name"},
		{"GET", "docs", "", 200, "<title>emqttd API</title>"},
	} {
		kind := ""
		if tc.body != "" {
			kind = jsonBody
		}
		status, body := call(t, f.Sources(), tc.method, "/api/v3/"+tc.path, kind, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s %.80s\ngot  %d %.400s\nwant %d %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
	if len(f.Published) != 2 || string(f.Published[0].Payload) != "hi" || f.Published[0].ClientID != "http" {
		t.Errorf("published %+v", f.Published)
	}
}

func TestPagesLeadFromOneToTheNextAndFindEveryRowOnce(t *testing.T) {
	f := fakenode.New()
	f.ClientRows = nil
	for i := range 257 {
		f.ClientRows = append(f.ClientRows, admin.ClientInfo{ID: fmt.Sprintf("c%03d", i), CleanSession: i%4 == 0})
	}
	for query, want := range map[string]int{"": 257, "&clean_session=true": 65} {
		seen, pages := map[string]bool{}, 0
		for cursor := ""; ; pages++ {
			_, body := call(t, f.Sources(), "GET", "/api/v3/clients?limit=20"+query+"&cursor="+cursor, "", "")
			var page struct {
				Items []struct {
					ID string `json:"client_id"`
				}
				Next string
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Items) > 20 {
				t.Fatalf("%v %s", err, body)
			}
			for _, c := range page.Items {
				if seen[c.ID] {
					t.Errorf("%s is there twice", c.ID)
				}
				seen[c.ID] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != want || pages != (want-1)/20 {
			t.Errorf("%q: %d rows on %d pages", query, len(seen), pages+1)
		}
	}
	_, body := call(t, f.Sources(), "GET", "/api/v3/clients?limit=20", "", "")
	_, cursor, _ := strings.Cut(body, `"next":"`)
	cursor, _, _ = strings.Cut(cursor, `"`)
	if code, body := call(t, f.Sources(), "GET", "/api/v3/sessions?cursor="+cursor, "", ""); code != 422 {
		t.Errorf("the cursor of another list: %d %s", code, body)
	}
}

// The description is complete: each operation says its role and has a schema for what it answers.
func TestTheDescriptionIsOpenAPI31(t *testing.T) {
	_, text := call(t, fakenode.New().Sources(), "GET", "/api/v3/openapi.json", "", "")
	var d struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID, Description string
			Responses                map[string]any
			Security                 any
		}
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" || len(d.Servers) != 1 || d.Servers[0].URL != "/api/v3" || len(d.Paths) < 40 {
		t.Errorf("%s, %v, %d paths", d.OpenAPI, d.Servers, len(d.Paths))
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, o := range methods {
			if ids[o.OperationID] || !strings.HasPrefix(o.Description, "Needs the role ") || len(o.Responses) < 2 || o.Responses["401"] == nil {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			ids[o.OperationID] = true
		}
	}
	_, page := call(t, fakenode.New().Sources(), "GET", "/api/v3/docs", "", "")
	for _, outside := range []string{"http://", "https://", `src="`, "@import"} {
		if strings.Contains(page, outside) {
			t.Errorf("the viewer needs something from outside: %s", outside)
		}
	}
}

// listening opens the events of a node.
func listening(t *testing.T, f *fakenode.Node, query string) *bufio.Scanner {
	t.Helper()
	s := httptest.NewServer(NewHandler(Options{Sources: f.Sources()}))
	t.Cleanup(s.Close)
	r, err := http.NewRequest(http.MethodGet, s.URL+"/api/v3/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "public")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if k := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || k != "text/event-stream" {
		t.Fatalf("%s %s", answer.Status, k)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return lines
}

// next reads one event.
func next(t *testing.T, s *bufio.Scanner) (name, data string) {
	t.Helper()
	for s.Scan() {
		switch line := s.Text(); {
		case strings.HasPrefix(line, "event: "):
			name = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "":
			return name, data
		}
	}
	return "end", ""
}

func TestEventsTellWhatChanges(t *testing.T) {
	f := fakenode.New()
	s := listening(t, f, "?kinds=client.connected,client.disconnected,session.subscribed,alarm.raised")
	if name, data := next(t, s); name != "open" || data != `{"node":"emq@127.0.0.1"}` {
		t.Fatal(name, data)
	}
	for _, e := range []events.Event{
		{Kind: events.ClientConnected, At: fakenode.Since, ClientID: "c", Username: "u", Peer: "10.0.0.1"},
		{Kind: events.Unsubscribed, ClientID: "not wanted"},
		{Kind: events.Subscribed, At: fakenode.Since, ClientID: "c", Topic: "a/#", QoS: 1},
		{Kind: events.ClientDisconnected, At: fakenode.Since, ClientID: "c", Reason: "closed"},
		{Kind: events.AlarmRaised, At: fakenode.Since, Alarm: "a", Severity: "critical", Title: "it burns"},
	} {
		f.Events.Publish(e)
	}
	const at = `{"at":"2016-11-22T09:46:40Z",`
	for _, want := range [][2]string{
		{"client.connected", at + `"client_id":"c","username":"u","ip":"10.0.0.1"}`},
		{"session.subscribed", at + `"client_id":"c","topic":"a/#","qos":1}`},
		{"client.disconnected", at + `"client_id":"c","username":"","reason":"closed"}`},
		{"alarm.raised", at + `"id":"a","severity":"critical","title":"it burns"}`},
	} {
		if name, data := next(t, s); name != want[0] || data != want[1] {
			t.Errorf("%s %s, want %v", name, data, want)
		}
	}
	f.Events.Close()
	if name, data := next(t, s); name != "cut" || data != `{"reason":"closed"}` {
		t.Error(name, data)
	}
	if name, _ := next(t, s); name != "end" {
		t.Error(name)
	}
}

func TestAListenerThatDoesNotReadIsCutOffAndToldSo(t *testing.T) {
	f := fakenode.New()
	s := listening(t, f, "")
	next(t, s)
	long := strings.Repeat("x", 8<<10) // fills the buffers of the connection
	for !f.Events.Idle() {
		f.Events.Publish(events.Event{Kind: events.ClientConnected, ClientID: long})
	}
	last, told := "", ""
	for {
		name, data := next(t, s)
		if name == "end" {
			break
		}
		last, told = name, data
	}
	if last != "cut" || told != `{"reason":"slow"}` {
		t.Errorf("the last event is %s %.80s", last, told)
	}
}
