package kernel

import (
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func TestDeadLettersAreCountedAndLoggedOnceASecondWithoutPayload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		told := 0
		system, log := newSystem(WithDeadLetters(func(pid *actor.PID, msg any) {
			if pid.Id != "nobody" || msg.(*secret).payload == "" {
				t.Errorf("%v for %v", msg, pid)
			}
			told++
		}))
		nobody := system.NewLocalPID("nobody")
		send := func() {
			for range 10 {
				system.Root.Send(nobody, &secret{"payload"})
				system.Root.Send(nobody, wakeMessage)
			}
			system.Root.Stop(nobody)
		}
		send()
		send()
		time.Sleep(2 * time.Second)
		send()
		if told != 30 {
			t.Errorf("told of %d, want 30", told)
		}
		out := log.String()
		if strings.Count(out, "dead letters") != 2 || !strings.Contains(out, "count=20") || !strings.Contains(out, "message=*kernel.secret") {
			t.Errorf("log:\n%s", out)
		}
		if strings.Contains(out, "payload") || strings.Contains(out, "DeadLetter]") {
			t.Errorf("the framework logs:\n%s", out)
		}
	})
}

type secret struct{ payload string }

func TestActorsLogToOurLogger(t *testing.T) {
	system, log := newSystem()
	pid := system.Root.Spawn(propsOf(funcActor{start: func(ctx actor.Context) error {
		ctx.Logger().With("peer", "p1").WithGroup("g").Info("hello", "k", 1)
		return nil
	}}))
	flush(t, system, pid)
	stopAndWait(t, system, pid)
	out := log.String()
	if !strings.Contains(out, "msg=hello peer=p1 g.k=1") || strings.Count(out, "\n") != 1 {
		t.Errorf("log:\n%s", out)
	}
}
