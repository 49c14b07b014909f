package logging

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// sink is one destination. Writers get whole lines, one call each, one at a time.
type sink struct {
	w     io.Writer
	level *slog.LevelVar
	mu    *sync.Mutex
}

// handler formats records and hands them to the sinks.
type handler struct {
	sinks  *[]sink
	level  *slog.LevelVar // of console and console file
	min    *slog.LevelVar // the lowest level that any sink wants
	attrs  []byte         // of WithAttrs, formatted already: " key=value"
	prefix string         // of WithGroup: "group."
}

func (h *handler) ready() {
	h.min = new(slog.LevelVar)
	for i := range *h.sinks {
		(*h.sinks)[i].mu = new(sync.Mutex)
	}
	h.measure()
}

// measure finds the lowest level again.
func (h *handler) measure() {
	lowest := levelNone
	for i := range *h.sinks {
		lowest = min(lowest, (*h.sinks)[i].level.Level())
	}
	h.min.Set(lowest)
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.min.Level() }

// lines holds buffers between records: a broker that logs should not work for the collector.
var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// maxKept is the largest buffer in bytes that goes back into the pool.
const maxKept = 16 << 10

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	buf := lines.Get().(*[]byte)
	b := (*buf)[:0]
	t := r.Time
	if t.IsZero() {
		t = time.Now()
	}
	b = t.AppendFormat(b, "2006-01-02 15:04:05.000")
	b = append(b, " ["...)
	b = append(b, levelName(r.Level)...)
	b = append(b, "] "...)
	b = appendPlain(b, r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.prefix, a)
		return true
	})
	b = append(b, '\n')
	var err error
	for i := range *h.sinks {
		s := &(*h.sinks)[i]
		if r.Level < s.level.Level() {
			continue
		}
		s.mu.Lock()
		if _, werr := s.w.Write(b); werr != nil {
			err = werr
		}
		s.mu.Unlock()
	}
	if cap(b) <= maxKept {
		*buf = b
		lines.Put(buf)
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		c.attrs = appendAttr(c.attrs, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, prefix, inner)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, prefix...)
	b = appendPlain(b, a.Key)
	b = append(b, '=')
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	}
	return appendValue(b, v.String())
}

// appendValue writes a value; one that would be ambiguous on the line is quoted. What clients chose ends up here, so
// no byte of it may start a new line or move a cursor.
func appendValue(b []byte, s string) []byte {
	if s == "" {
		return append(b, `""`...)
	}
	for _, c := range s {
		if c == ' ' || c == '"' || c == '=' || odd(c) {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}

// appendPlain writes text of ours: spaces are fine, control characters are escaped.
func appendPlain(b []byte, s string) []byte {
	for _, c := range s {
		if odd(c) {
			q := strconv.Quote(s)
			return append(b, q[1:len(q)-1]...)
		}
	}
	return append(b, s...)
}

func odd(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }
