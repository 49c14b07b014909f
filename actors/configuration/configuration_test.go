package configuration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"emqttd/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Owner over a file in a home of its own.
type rig struct {
	*Owner
	t     *testing.T
	file  string
	dir   string
	asked []string // parts that were asked, in order
	fails error    // what the part "sessions" says
}

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	home := t.TempDir()
	r := &rig{t: t, file: filepath.Join(home, "etc", "emq.conf"), dir: filepath.Join(home, "data")}
	if err := os.MkdirAll(filepath.Dir(r.file), 0o755); err != nil {
		t.Fatal(err)
	}
	r.edit(text)
	r.start()
	return r
}

// start is a start of the node, again after a crash.
func (r *rig) start() {
	r.t.Helper()
	loaded, problems := config.Read(config.Sources{File: r.file})
	if err := problems.Err(); err != nil {
		r.t.Fatal(err)
	}
	w, err := New(Options{Loaded: loaded, Dir: r.dir})
	if err != nil {
		r.t.Fatal(err)
	}
	part := func(name string, keys ...string) Part {
		return Part{Name: name, Keys: keys, Prepare: func(_, _ *config.Config) (Ready, error) {
			r.asked = append(r.asked, name)
			if name == "sessions" {
				return Ready{}, r.fails
			}
			return Ready{}, nil
		}}
	}
	w.SetParts([]Part{part("log", "log."), part("sessions", "mqtt.session.", "mqtt.mqueue."), part("retainer", "retainer.")})
	r.Owner = w
}

func (r *rig) edit(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) text() string {
	r.t.Helper()
	b, err := os.ReadFile(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func (r *rig) set(key, value string) error {
	_, err := r.Do(Request{Verb: Set, By: "test", Values: []Value{{key, value}}})
	return err
}

func (r *rig) reload() error {
	_, err := r.Do(Request{Verb: Reload, By: "test"})
	return err
}

// agrees holds the running configuration, the newest entry and, if nobody has edited
// the file since, the file against each other.
func (r *rig) agrees(file bool) {
	r.t.Helper()
	last := r.history.last()
	if last.Number != r.Number() {
		r.t.Fatalf("the newest entry is %d, the number %d", last.Number, r.Number())
	}
	then, problems := r.reread(last.Files)
	if err := problems.Err(); err != nil {
		r.t.Fatal(err)
	}
	if c := config.Changes(r.Running(), then.Config); !slices.Equal(c, r.Pending()) {
		r.t.Fatalf("running and history differ by %v; pending %v", c, r.Pending())
	}
	if file && r.text() != string(last.Files[0].Text) {
		r.t.Fatalf("the file is not the newest entry:\n%s\n%s", r.text(), last.Files[0].Text)
	}
}

const small = "# mine\nnode.name = a@127.0.0.1\nlog.console.level = error\n\nmqtt.session.max_inflight =  7\n"

func TestSetRewritesOneLineAndKeepsTheRest(t *testing.T) {
	r := newRig(t, small)
	for _, v := range []Value{{"mqtt.session.max_inflight", "9"}, {"retainer.max_payload_size", "1KB"}} {
		if err := r.set(v.Key, v.Value); err != nil {
			t.Fatal(err)
		}
		r.agrees(true)
	}
	want := "# mine\nnode.name = a@127.0.0.1\nlog.console.level = error\n\nmqtt.session.max_inflight =  9\nretainer.max_payload_size = 1KB\n"
	if got := r.text(); got != want {
		t.Errorf("got\n%s", got)
	}
	if n := r.Running().MQTT.Session.MaxInflight; n != 9 {
		t.Errorf("%d runs", n)
	}
}

func TestOnlyThePartsThatAreConcernedAreAsked(t *testing.T) {
	r := newRig(t, small)
	if err := r.set("retainer.max_payload_size", "1KB"); err != nil {
		t.Fatal(err)
	}
	if err := r.set("node.memory_limit", "1GB"); err != nil { // nobody's: it needs a restart
		t.Fatal(err)
	}
	if !slices.Equal(r.asked, []string{"retainer"}) {
		t.Errorf("asked: %q", r.asked)
	}
	if p := r.Pending(); len(p) != 1 || p[0].Key != "node.memory_limit" || r.Running().Node.MemoryLimit != 0 {
		t.Errorf("pending %v, running %d", p, r.Running().Node.MemoryLimit)
	}
}

func TestAFileWithAMistakeChangesNothingAndIsNamedWithItsLine(t *testing.T) {
	var told error
	r := newRig(t, small)
	r.o.Refused = func(err error) { told = err }
	for text, want := range map[string]string{
		small + "mqtt.sesion.max_inflight = 8\n": `emq.conf:6: mqtt.sesion.max_inflight: unknown key (did you mean "mqtt.session.max_inflight"?)`,
		small + "mqtt.session.max_inf":           "emq.conf:6: expected `key = value`",
		small + "log.console.level = loud\n":     "emq.conf:6: log.console.level: expected one of debug",
	} {
		r.edit(text)
		if err := r.reload(); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(told, err) {
			t.Errorf("got %v, want %s; told %v", err, want, told)
		}
		r.agrees(false)
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if err := r.reload(); err == nil {
		t.Error("a file that is gone was accepted")
	}
	if len(r.asked) > 0 || r.Refused() != 4 {
		t.Errorf("asked %q, %d refused", r.asked, r.Refused())
	}
	r.edit(small)
	if err := r.reload(); err != nil || told != nil {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestWhatAPartCannotHaveIsRefusedWhole(t *testing.T) {
	r := newRig(t, small)
	r.fails = errors.New("no")
	if err := r.set("mqtt.session.max_inflight", "9"); err == nil || r.text() != small {
		t.Errorf("%v, the file is\n%s", err, r.text())
	}
	r.agrees(true)
}

func TestAKeyOfTheEnvironmentIsNotWrittenIntoTheFile(t *testing.T) {
	r := newRig(t, small)
	loaded, problems := config.Read(config.Sources{File: r.file, Env: []string{"EMQ__log__console__level=info"}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	w, err := New(Options{Loaded: loaded})
	if err != nil {
		t.Fatal(err)
	}
	r.Owner = w
	if err := r.set("log.console.level", "debug"); err == nil || !strings.Contains(err.Error(), "environment: EMQ__log__console__level") {
		t.Error(err)
	}
	if x, err := r.Explain("log.console.level"); err != nil || x.Layer != config.LayerEnvironment || x.Value != "info" {
		t.Errorf("%+v %v", x, err)
	}
}

func TestAReadOnlyFileIsAClearError(t *testing.T) {
	r := newRig(t, small)
	if err := os.Chmod(r.file, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := r.set("log.console.level", "debug"); !errors.Is(err, errReadOnly) {
		t.Error(err)
	}
	r.agrees(true)
}

func TestSecretsAreInNoAnswerAndTheHistoryIsPrivate(t *testing.T) {
	r := newRig(t, small+"node.cookie = old-secret\nauth.user.1.username = al\nauth.user.1.password = old-secret\n")
	for _, key := range []string{"node.cookie", "auth.user.1.password"} {
		if err := r.set(key, "new-secret"); err != nil {
			t.Fatal(err)
		}
	}
	x, err := r.Explain("auth.user.1.password")
	if err != nil {
		t.Fatal(err)
	}
	diff, err := r.DiffNumber(1)
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprint(r.Settings(""), r.History(), r.Pending(), x, diff)
	if strings.Contains(said, "-secret") || len(r.Pending()) != 2 {
		t.Errorf("pending %v, said %s", r.Pending(), said)
	}
	names, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("%q %v", names, err)
	}
	for _, n := range names {
		if info, err := os.Stat(n); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", n, info.Mode(), err)
		}
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	r := newRig(t, small)
	for i := range maxEntries + 1 {
		if err := r.set("mqtt.session.max_inflight", fmt.Sprint(100+i)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(names) != maxEntries || len(r.History()) != maxEntries {
		t.Errorf("%d files, %d entries, %v", len(names), len(r.History()), err)
	}
	if _, err := r.Do(Request{Verb: Rollback, Number: 1}); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
}

// sequences is how many the next test plays: TEST_SEQUENCES, or 12.
func sequences(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("TEST_SEQUENCES")
	if text == "" {
		return 12
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		t.Fatalf("TEST_SEQUENCES=%s: want a number", text)
	}
	return n
}

// TestAnySequenceLeavesRunningFileAndHistoryTheSame edits, reloads, sets, rolls back
// and crashes at random, with good values and bad ones.
func TestAnySequenceLeavesRunningFileAndHistoryTheSame(t *testing.T) {
	values := []Value{
		{"mqtt.session.max_inflight", "1"},
		{"mqtt.session.max_inflight", "x"},
		{"retainer.max_payload_size", "1KB"},
		{"retainer.max_payload_size", "2KB"},
		{"log.console.level", "info"},
		{"log.console.level", "loud"},
		{"no.such.key", "1"},
		{"node.memory_limit", "1GB"},
		{"node.memory_limit", "1KB"},
		{"mqtt.mqueue.max_length", "5"},
	}
	for seed := range sequences(t) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel() // most of it is waiting for the disk
			rnd := rand.New(rand.NewPCG(seed, 1))
			r := newRig(t, small)
			good, edited := small, false // the last text that was accepted; whether the file is another
			for range 25 {
				v := values[rnd.IntN(len(values))]
				running, number := r.Running(), r.Number()
				r.fails = nil
				if rnd.IntN(8) == 0 {
					r.fails = errors.New("no")
				}
				var err error
				switch rnd.IntN(5) {
				case 0:
					r.edit(good + v.Key + " = " + v.Value + "\n")
					edited = true
					continue
				case 1:
					err = r.reload()
				case 2:
					err = r.set(v.Key, v.Value)
				case 3:
					_, err = r.Do(Request{Verb: Rollback, By: "test", Number: 1 + rnd.IntN(r.Number()+1)})
				case 4: // a crash, after which somebody has put the file right
					if edited {
						r.edit(good)
						edited = false
					}
					r.start()
					r.agrees(true)
					continue
				}
				if err == nil {
					edited, good = false, r.text()
				} else if r.Running() != running || r.Number() != number {
					t.Fatalf("%v, and something has changed", err)
				}
				r.agrees(!edited)
			}
		})
	}
}

func TestACrashBetweenTheFileAndItsEntryIsMadeUpForAtStart(t *testing.T) {
	r := newRig(t, small)
	r.edit(strings.Replace(small, "error", "info", 1)) // what Set had written when the process ended
	r.start()
	r.agrees(true)
	h := r.History()
	if r.Number() != 2 || h[0].By != "start" || len(h[0].Changes) != 1 {
		t.Errorf("%+v", h[0])
	}
}
