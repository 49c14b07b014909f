package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"emqttd/cmd/emqttd_bench/internal/measure"
)

// report is what a scenario found, in the order in which it is told.
type report struct {
	name   string
	fields []field
	times  []times
	steps  []*report
	faults []string
}

type field struct {
	key, label string
	value      any
	unit       string
}

type times struct {
	key, label string
	h          *measure.Histogram
}

func (r *report) add(key, label string, value any, unit string) {
	r.fields = append(r.fields, field{key, label, value, unit})
}

func (r *report) histogram(key, label string, h *measure.Histogram) {
	r.times = append(r.times, times{key, label, h})
}

// figure is a number in JSON with as many digits as it deserves.
type figure float64

func (f figure) String() string {
	switch a := max(f, -f); {
	case a >= 1000:
		return fmt.Sprintf("%.0f", float64(f))
	case a >= 10:
		return fmt.Sprintf("%.1f", float64(f))
	case a >= 1:
		return fmt.Sprintf("%.2f", float64(f))
	}
	return fmt.Sprintf("%.3f", float64(f))
}

func (f figure) MarshalJSON() ([]byte, error) { return []byte(f.String()), nil }

func micros(d time.Duration) figure { return figure(d.Seconds() * 1e6) }

// perSecond is a count in a time.
func perSecond(n int64, d time.Duration) figure {
	if d <= 0 {
		return 0
	}
	return figure(float64(n) / d.Seconds())
}

// usage reports what a time cost; units is the number of what its CPU is divided
// by, each a thing of the given name.
func (r *report) usage(b measure.Between, units int64, thing string) {
	if b.Known {
		if units > 0 {
			r.add("broker_cpu_us_per_"+thing, "broker CPU per "+thing, micros(b.CPU)/figure(units), "µs")
		}
		r.add("broker_cores", "broker CPU", figure(b.Cores(b.CPU)), "cores")
		if b.CPU < certain {
			r.add("broker_cpu_uncertain", "broker CPU uncertain", true, "(too short for a clock of 10 ms)")
		}
	}
	own := b.Cores(b.Self)
	r.add("generator_cores", "generator CPU", figure(own), "cores")
	r.add("other_cores", "other processes", figure(b.Cores(b.Other)), "cores")
	if own > saturated && b.Length >= time.Second {
		r.add("generator_saturated", "generator saturated", true, "(the rates are limited by this program, not by the broker)")
	}
}

const (
	saturated = 0.95                  // cores: above it one goroutine has no time left
	certain   = 50 * time.Millisecond // CPU of which 10 ms more or less do not matter too much
)

// MarshalJSON writes an object in the report's order.
func (r *report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	put := func(key string, value any) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(value)
		fmt.Fprintf(&b, "%q:%s", key, v)
		return err
	}
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	keep(put("scenario", r.name))
	for _, f := range r.fields {
		keep(put(f.key, f.value))
	}
	for _, t := range r.times {
		keep(put(t.key, quantiles(t.h)))
	}
	if len(r.steps) > 0 {
		keep(put("steps", r.steps))
	}
	keep(put("errors", append([]string{}, r.faults...)))
	b.WriteByte('}')
	return b.Bytes(), err
}

func quantiles(h *measure.Histogram) map[string]any {
	return map[string]any{
		"count": h.Count(), "mean": micros(h.Mean()), "p50": micros(h.Quantile(.5)), "p90": micros(h.Quantile(.9)),
		"p99": micros(h.Quantile(.99)), "p999": micros(h.Quantile(.999)), "max": micros(h.Max()),
	}
}

// text prints the report for a person.
func (r *report) text(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.name)
	for _, f := range r.fields {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-26s %v %s", f.label, f.value, f.unit), " "))
	}
	for _, t := range r.times {
		draw(w, t)
	}
	for _, s := range r.steps {
		s.text(w)
	}
	for _, f := range r.faults {
		fmt.Fprintf(w, "  ERROR: %s\n", f)
	}
}

func draw(w io.Writer, t times) {
	h := t.h
	if h.Count() == 0 {
		return
	}
	fmt.Fprintf(w, "  %-26s mean %v  p50 %v  p90 %v  p99 %v  p99.9 %v  max %v\n", t.label,
		short(h.Mean()), short(h.Quantile(.5)), short(h.Quantile(.9)), short(h.Quantile(.99)), short(h.Quantile(.999)), short(h.Max()))
	rows := h.Rows()
	most := uint64(1)
	for _, row := range rows {
		most = max(most, row.Count)
	}
	for _, row := range rows {
		bar := strings.Repeat("#", int((row.Count*40+most-1)/most))
		fmt.Fprintf(w, "    < %-9v %10d  %s\n", short(row.To), row.Count, bar)
	}
}

// short is a time in three digits or so.
func short(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d >= 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond)
	}
	return d
}
