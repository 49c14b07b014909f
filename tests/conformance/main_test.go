package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emqttd/tests/conformance/report"
)

func TestTheCommandRunsAgainstAnAddress(t *testing.T) {
	addr, ws := ours(t)
	var out, errs bytes.Buffer
	if code := run([]string{"-addr", addr, "-run", "MQTT-3.12.4-1|MQTT-3.1.0-2", "-v"}, &out, &errs); code != 0 {
		t.Errorf("exit %d\n%s%s", code, &out, &errs)
	}
	if s := out.String(); !strings.HasSuffix(s, "\nconformance: 4 passed, 0 failed, 0 undecidable\n") || !strings.Contains(s, "passed      5.0/MQTT-3.12.4-1 PINGREQ") {
		t.Error(s)
	}
	out.Reset()
	if code := run([]string{"-addr", addr, "-version", "5.0", "-run", "MQTT-6.0.0-4"}, &out, &errs); code != 0 || out.String() != "conformance: 0 passed, 0 failed, 1 undecidable\n" {
		t.Errorf("without a WebSocket: exit %d, %s", code, &out)
	}
	out.Reset()
	path := filepath.Join(t.TempDir(), "table.md")
	code := run([]string{"-addr", addr, "-ws", ws, "-version", "5.0", "-run", "MQTT-6.0.0-4", "-json", "-doc", path, "-control", "none=127.0.0.1:1"}, &out, &errs)
	var results []report.Result
	if err := json.Unmarshal(out.Bytes(), &results); code != 0 || err != nil || len(results) != 1 || results[0].Outcome != report.Passed {
		t.Errorf("exit %d, %v\n%s", code, err, &out)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "| emqttd | none |") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestTheCommandExitsWithOneIfAStatementFails(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"-addr", "127.0.0.1:1", "-version", "3.1.1", "-run", "MQTT-3.12.4-1"}, &out, &errs); code != 1 {
		t.Errorf("exit %d", code)
	}
	if s := out.String(); !strings.HasSuffix(s, "\nconformance: 0 passed, 1 failed, 0 undecidable\n") {
		t.Error(s)
	}
}

func TestTheCommandExitsWithTwoIfItIsToldNonsense(t *testing.T) {
	for _, args := range [][]string{{"-version", "4"}, {"-run", "("}, {"-colour", "red"}, {"127.0.0.1:1883"}, {"-control", "nobody"}, {"-parallel", "0"}} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%q: exit %d", args, code)
		}
	}
}
