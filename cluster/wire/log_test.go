package wire

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestFrameworkIsHeardLowerDownAndNeverWithAPayload(t *testing.T) {
	var out strings.Builder
	ours := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log := actor.NewActorSystemWithConfig(actor.Configure(QuietFramework(ours))).Logger().With("lib", "x").WithGroup("g")
	out.Reset()
	log.Error("lost connection", "a", 1)
	log.Info("connected")
	log.Info("[DeadLetter]", "message", "secret")
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, line[strings.Index(line, "level="):])
	}
	want := "level=DEBUG msg=\"lost connection\" lib=x g.a=1\nlevel=DEBUG msg=connected lib=x\n"
	if strings.Join(got, "") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, ""), want)
	}
}
