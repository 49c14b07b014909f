package web

import (
	"os"
	"strings"
	"testing"

	"emqttd/tests/fakenode"
)

// TestV3ChangesTheConfigurationAllOrNothing plays one operator, step after step.
func TestV3ChangesTheConfigurationAllOrNothing(t *testing.T) {
	f := fakenode.New()
	file := f.WithFile(t, "node.cookie = hidden-one", "mqtt.max_packet_size = 64KB")
	edit := func(more string) {
		if err := os.WriteFile(file, []byte("node.cookie = hidden-one\n"+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		edit, method, path, body string
		status                   int
		want                     string // is part of the answer
	}{
		{"", "GET", "", "", 200, `{"key":"mqtt.max_packet_size","value":"64KB","live":"for new connections","pending":""}`},
		{"", "GET", "?prefix=node.cookie", "", 200, `{"items":[{"key":"node.cookie","value":"******","live":"after a restart","pending":""}]}`},
		{"", "GET", "?prefix=no.such", "", 200, `{"items":[]}`},
		{"", "PUT", "", `{"values":[{"key":"mqtt.max_packet_size","value":"1KB"},{"key":"node.memory_limit","value":"1GB"}]}`, 200, `{"number":2,"changes":[{"key":`},
		{"", "GET", "?prefix=node.memory_limit", "", 200, `"pending":"1GB"`},
		{"", "PUT", "", `{"values":[{"key":"mqtt.max_packet_size","value":"2KB"},{"key":"mqtt.max_paket_size","value":"1KB"}]}`, 422, `did you mean \"mqtt.max_packet_size\"?`},
		{"", "PUT", "", `{"values":[{"key":"mqtt.max_packet_size","value":"much"}]}`, 422, `emq.conf:2: mqtt.max_packet_size: expected`},
		{"", "PUT", "", `{"values":[{"key":"node.cookie","value":"hidden-two"}]}`, 200, `"to":"******"`},
		{"", "PUT", "", `{"values":[]}`, 422, "expected array length"},
		{"", "PUT", "", `{"values":[{"key":"mqtt.max_packet_size"}]}`, 422, "expected required property value"},
		{"", "GET", "?prefix=mqtt.max_packet_size", "", 200, `"value":"1KB"`},
		{"", "POST", "/check", "", 200, `{"ok":true,"errors":[],"warnings":[]}`},
		{"mqtt.max_paket_size = 1KB\n", "POST", "/check", "", 200, `{"ok":false,"errors":[{"where":"`},
		{"mqtt.max_paket_size = 1KB\n", "POST", "/reload", "", 422, `did you mean \"mqtt.max_packet_size\"?)","location":"/`},
		{"mqtt.max_packet_size = 4KB\n", "POST", "/reload", "", 200, `"to":"4KB"`},
		{"", "GET", "/history", "", 200, `"by":"HTTP API, admin","what":"reload"`},
		{"", "POST", "/rollback/1", "", 200, `"from":"4KB","to":"64KB"`},
		{"", "POST", "/rollback/99", "", 404, "the history has no configuration of that number"},
		{"", "POST", "/rollback/0", "", 422, "expected number >= 1"},
	} {
		if tc.edit != "" {
			edit(tc.edit)
		}
		kind := ""
		if tc.body != "" {
			kind = jsonBody
		}
		status, body := call(t, f.Sources(), tc.method, "/api/v3/config"+tc.path, kind, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s config%s %s: %d %s\nwant %d %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.want)
		}
		if strings.Contains(body, "hidden") {
			t.Errorf("%s config%s: a secret is in the answer: %s", tc.method, tc.path, body)
		}
	}
}

func TestEMQsWayToChangeASettingWritesTheFile(t *testing.T) {
	f := fakenode.New()
	file := f.WithFile(t, "# mine")
	for _, tc := range []struct{ body, want string }{
		{`{"key":"mqtt.max_packet_size","value":"1KB"}`, `{"code":0,"result":[]}`},
		{`{"key":"mqtt.max_packet_size","value":"much"}`, `emq.conf:2: mqtt.max_packet_size: expected`},
		{`{"key":"mqtt.max_paket_size","value":"1KB"}`, `did you mean`},
	} {
		status, body := call(t, f.Sources(), "PUT", "/api/v2/configs/emqttd", jsonBody, tc.body)
		if status != 200 || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %s, want %s", tc.body, status, body, tc.want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\nmqtt.max_packet_size = 1KB\n" {
		t.Errorf("%v, the file is\n%s", err, text)
	}
}
