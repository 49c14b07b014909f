// Package alarm holds what operators should know at once: which alarms are on,
// told under $SYS/brokers/<node>/alarms as EMQ does.
package alarm

import (
	"encoding/json"
	"log/slog"
	"sort"
	"sync"
	"time"
)

// Alarm is one alarm. With Cleared it takes the alarm of that ID back.
type Alarm struct {
	ID       string
	Severity string // warning, error or critical
	Title    string
	Summary  string
	Since    time.Time
	Cleared  bool
}

// Board keeps the alarms that are on. Any goroutine may use it; it does not
// block for long.
type Board struct {
	log *slog.Logger
	// publish publishes a $SYS message below alarms/.
	publish func(name, payload string)
	// OnChange, if not nil, is told of alarms that were raised or, Cleared, taken
	// back. It is set before the board is used, and must not block.
	OnChange func(Alarm)

	mu sync.Mutex
	on map[string]Alarm
}

// NewBoard makes a board without alarms.
func NewBoard(log *slog.Logger, publish func(name, payload string)) *Board {
	return &Board{log: log, publish: publish, on: make(map[string]Alarm)}
}

// Take raises or clears an alarm. One that is on already, or not on, changes
// nothing.
func (b *Board) Take(a Alarm) {
	now := time.Now()
	b.mu.Lock()
	_, on := b.on[a.ID]
	if a.Cleared {
		delete(b.on, a.ID)
	} else if !on {
		a.Since = now
		b.on[a.ID] = a
	}
	b.mu.Unlock()
	if a.Cleared == on && b.OnChange != nil {
		b.OnChange(a)
	}
	switch {
	case a.Cleared && on:
		b.log.Info("alarm cleared", "alarm", a.ID)
		b.say(a.ID+"/clear", cleared{a.ID, now.Unix()})
	case !a.Cleared && !on:
		b.log.Warn("alarm", "alarm", a.ID, "severity", a.Severity, "title", a.Title, "summary", a.Summary)
		b.say(a.ID+"/alert", alert{a.ID, a.Severity, a.Title, a.Summary, now.Unix()})
	}
}

// alert and cleared are the objects of EMQ.
type alert struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Summary  string `json:"summary"`
	TS       int64  `json:"ts"`
}

type cleared struct {
	ID string `json:"id"`
	TS int64  `json:"ts"`
}

func (b *Board) say(name string, v any) {
	payload, err := json.Marshal(v)
	if err != nil {
		b.log.Error("alarm cannot be told", "alarm", name, "error", err)
		return
	}
	b.publish(name, string(payload))
}

// List is what is on, by ID.
func (b *Board) List() []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Alarm, 0, len(b.on))
	for _, a := range b.on {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}
