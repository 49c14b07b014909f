package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"emqttd/cmd/emqttd_bench/internal/measure"
)

func sample() *report {
	r := &report{name: "fan", steps: []*report{{name: "step"}}, faults: []string{"2 × lost"}}
	r.add("rounds", "rounds", 3, "")
	r.add("rate", "rate", figure(1234.5678), "/s")
	r.add("cost", "cost", figure(0.12345), "µs")
	var h measure.Histogram
	h.Add(3 * time.Microsecond)
	h.Add(5 * time.Microsecond)
	h.Add(5 * time.Microsecond)
	r.histogram("latency_us", "latency", &h)
	return r
}

func TestReportForAPersonShowsFiguresHistogramAndErrors(t *testing.T) {
	var b strings.Builder
	sample().text(&b)
	want := `
fan
  rounds                     3
  rate                       1235 /s
  cost                       0.123 µs
  latency                    mean 4.333µs  p50 4.992µs  p90 4.992µs  p99 4.992µs  p99.9 4.992µs  max 5µs
    < 4µs                1  ####################
    < 8µs                2  ########################################

step
  ERROR: 2 × lost
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
}

func TestReportAsJSONKeepsItsOrder(t *testing.T) {
	b, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"scenario":"fan","rounds":3,"rate":1235,"cost":0.123,` +
		`"latency_us":{"count":3,"max":5.00,"mean":4.33,"p50":4.99,"p90":4.99,"p99":4.99,"p999":4.99},` +
		`"steps":[{"scenario":"step","errors":[]}],"errors":["2 × lost"]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestUsageSaysWhenItIsNotToBeTrusted(t *testing.T) {
	keys := func(b measure.Between) string {
		r := &report{}
		r.usage(b, 10, "message")
		var all []string
		for _, f := range r.fields {
			all = append(all, f.key)
		}
		return strings.Join(all, " ")
	}
	usual := measure.Between{Known: true, CPU: time.Second, Self: time.Second, Length: 2 * time.Second}
	if got := keys(usual); got != "broker_cpu_us_per_message broker_cores generator_cores other_cores" {
		t.Error(got)
	}
	few := usual
	few.CPU = 40 * time.Millisecond
	if got := keys(few); !strings.Contains(got, "broker_cpu_uncertain") {
		t.Error(got)
	}
	busy := usual
	busy.Self = 1950 * time.Millisecond
	if got := keys(busy); !strings.Contains(got, "generator_saturated") {
		t.Error(got)
	}
	unknown := usual
	unknown.Known = false
	if got := keys(unknown); strings.Contains(got, "broker") {
		t.Error(got)
	}
}
