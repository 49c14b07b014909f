package alarm

import (
	"encoding/json"
	"log/slog"
	"testing"
)

func TestAnAlarmIsToldWhenItComesAndWhenItGoes(t *testing.T) {
	var said []string
	b := NewBoard(slog.New(slog.DiscardHandler), func(name, payload string) {
		var v struct{ ID string }
		if err := json.Unmarshal([]byte(payload), &v); err != nil || v.ID != "q.c" {
			t.Errorf("%s: payload %s", name, payload)
		}
		said = append(said, name)
	})
	up, down := Alarm{ID: "q.c", Severity: "warning", Title: "full"}, Alarm{ID: "q.c", Cleared: true}
	for _, a := range []Alarm{down, up, up} {
		b.Take(a)
	}
	if on := b.List(); len(on) != 1 || on[0].Title != "full" || on[0].Since.IsZero() {
		t.Errorf("on: %+v", on)
	}
	b.Take(down)
	b.Take(down)
	if len(said) != 2 || said[0] != "q.c/alert" || said[1] != "q.c/clear" || len(b.List()) != 0 {
		t.Errorf("said %q", said)
	}
}
