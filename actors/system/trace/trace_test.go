package trace

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestATraceWritesThePacketsOfItsClientAndNobodyElses(t *testing.T) {
	var tr Tracer
	if tr.On() || tr.Tap("c", "10.0.0.1") != nil {
		t.Error("something is traced before there is a trace")
	}
	file := filepath.Join(t.TempDir(), "log", "c.log")
	if err := tr.Start(Client, "c", file); err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(Client, "c", file); !errors.Is(err, ErrExisted) {
		t.Errorf("a second trace of it: %v", err)
	}
	if tr.Tap("other", "10.0.0.1") != nil {
		t.Error("others are traced")
	}
	tap := tr.Tap("c", "10.0.0.1")
	p := (&mqtt.Publish{Topic: "a b", Payload: []byte("secret"), QoS: 1, PacketID: 7}).Append(nil, mqtt.V311)
	h, n, err := mqtt.ParseHeader(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	tap.Received(h, p[n:], mqtt.V311)
	sent := mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, 7, 0)
	tap.Sent((&mqtt.Suback{ID: 9, Codes: []protocol.ReasonCode{0}}).Append(sent, mqtt.V311), mqtt.V311)
	if err := tr.Stop(Client, "c"); err != nil {
		t.Fatal(err)
	}
	if err := tr.Stop(Client, "c"); !errors.Is(err, ErrNotFound) || tr.On() {
		t.Errorf("stopped twice: %v, on %t", err, tr.On())
	}
	tap.Say("after the end") // by one who still has it
	got := lines(t, file)
	want := []string{
		`RECV PUBLISH(qos=1 retain=false dup=false topic="a b" alias=0 packet_id=7 payload=6 bytes)`,
		`SEND PUBACK(packet_id=7 code=Success)`, `SEND SUBACK(packet_id=9)`,
	}
	if len(got) != len(want) {
		t.Fatalf("the file has %q", got)
	}
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[debug\] client c 10\.0\.0\.1: `)
	for i, w := range want {
		if !stamp.MatchString(got[i]) || !strings.HasSuffix(got[i], w) {
			t.Errorf("line %d is %q, want %q", i, got[i], w)
		}
	}
}

func TestATracedTopicNamesPublisherAndTagAndTheTagTellsTheStory(t *testing.T) {
	var tr Tracer
	file := filepath.Join(t.TempDir(), "t.log")
	if err := tr.Start(Topic, "a/b", file); err != nil {
		t.Fatal(err)
	}
	other := &protocol.Message{Topic: "a/c", From: "p"}
	m := &protocol.Message{Topic: "a/b", From: "p", QoS: 1, Payload: []byte("x"), Arrived: 5}
	tr.Published(other)
	tr.Published(m)
	if other.Tag != 0 || m.Tag == 0 {
		t.Fatalf("tags %d and %d", other.Tag, m.Tag)
	}
	tr.Matched(m.Tag, 1)
	for range maxSteps + 1 {
		tr.Note(m.Tag, Step{At: 6, ClientID: "s", What: "sent"})
	}
	got := lines(t, file)
	tag := TagText(m.Tag)
	if len(got) != 1 || !strings.HasSuffix(got[0], "client p: PUBLISH topic=a/b qos=1 retain=0 payload=1 bytes tag="+tag) {
		t.Errorf("the file has %q", got)
	}
	n, err := ParseTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := tr.Story(n)
	if !ok || s.Deliveries != 1 || len(s.Steps) != maxSteps || !s.Cut || s.From != "p" || s.At != 5 {
		t.Errorf("%t %+v", ok, s)
	}
	for range storyCount { // the ring goes round
		tr.Published(&protocol.Message{Topic: "a/b"})
	}
	if _, ok := tr.Story(n); ok {
		t.Error("an old story is still told")
	}
	if err := tr.Close(); err != nil || len(tr.List()) != 0 {
		t.Errorf("%v, %v", err, tr.List())
	}
}

func TestAFileThatCannotBeWrittenIsAnError(t *testing.T) {
	var tr Tracer
	if err := tr.Start(IP, "::1", t.TempDir()); err == nil || tr.On() {
		t.Errorf("a folder is taken for a file: %v", err)
	}
}

func TestWhatIsNoTagIsAnError(t *testing.T) {
	for _, text := range []string{"", "x", "0", "100000000"} {
		if _, err := ParseTag(text); err == nil {
			t.Errorf("%q is taken for a tag", text)
		}
	}
}

// BenchmarkNobodyIsTraced is what each read, write and message pays.
func BenchmarkNobodyIsTraced(b *testing.B) {
	var tr Tracer
	for b.Loop() {
		if tr.Tap("client", "10.0.0.1") != nil || tr.On() {
			b.Fatal("traced")
		}
	}
}

// BenchmarkAnotherIsTraced is what they pay while somebody else is traced.
func BenchmarkAnotherIsTraced(b *testing.B) {
	var tr Tracer
	if err := tr.Start(Client, "other", filepath.Join(b.TempDir(), "f")); err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	for b.Loop() {
		if tr.Tap("client", "10.0.0.1") != nil {
			b.Fatal("traced")
		}
	}
}
