package wrong

import (
	"strings"
	"sync"
	"testing"
	"time"

	"emqttd/tests/conformance/script"
	"emqttd/tests/testkit"
)

// exchange uses most packets; the right broker passes.
const exchange = `[X-1] requirement
- title
  a connect
  b connect
  a sub %/t qos=1
  b pub %/t one qos=1
  a recv %/t one qos=1
  b pub %/t two qos=1
  a recv %/t two qos=1
  a unsub %/t
  a ping
  a silent
`

func run(right string, faults ...string) error {
	all, err := script.Parse([]script.File{{Version: "5.0", Name: "f", Text: exchange}})
	if err != nil {
		return err
	}
	o := script.Options{Timeout: 5 * time.Second, Quiet: 200 * time.Millisecond, Token: script.NewToken()}
	b, err := Start(right, o.Token, faults)
	if err != nil {
		return err
	}
	defer b.Close()
	o.Addr = b.Addr()
	return script.Run(all[0].Tests[0], o)
}

func TestWithoutFaultsTheWrongBrokerIsRight(t *testing.T) {
	right := testkit.Start(t).Addr(testkit.TCP)
	if err := run(right); err != nil {
		t.Error(err)
	}
	if err := run(right, "drop publish if payload=three", "nobody:drop publish", "dup puback nth 9"); err != nil {
		t.Errorf("with faults that concern nothing: %v", err)
	}
}

func TestFaultsDoWhatTheySay(t *testing.T) {
	var wg sync.WaitGroup
	right := testkit.Start(t).Addr(testkit.TCP)
	for fault, want := range map[string]string{
		"drop suback":                     "want suback",
		"dup pingresp":                    "PINGRESP came",
		"set publish qos=0 if qos=1":      "want qos=1",
		"set suback codes=80":             "want codes=01",
		"swap publish":                    "want publish",
		"close pingresp":                  "closed the connection",
		"send pingreq on unsuback":        "PINGREQ",
		"tell publish topic=x on pingreq": "PUBLISH",
		"hold pingresp 9s":                "want pingresp",
		"c.drop subscribe":                "want suback",
		"b:c.set publish payload=x nth 2": "want payload=two",
		"c.dup unsubscribe":               "UNSUBACK",
	} {
		wg.Go(func() {
			if err := run(right, fault); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", fault, err, want)
			}
		})
	}
	wg.Wait()
}

func TestFaultsThatAreNoneAreRefused(t *testing.T) {
	for _, fault := range []string{"break publish", "drop letters", "drop", "drop publish nth x", "hold publish soon", "send puback on nothing"} {
		if b, err := Start("127.0.0.1:1", "t", []string{fault}); err == nil {
			b.Close()
			t.Errorf("%q is taken", fault)
		}
	}
}
