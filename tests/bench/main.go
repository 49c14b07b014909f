// Command bench measures a broker against its limits: it starts bin/emqttd on a
// home of its own, runs bin/emqttd_bench against it, and prints a table in
// Markdown with the command behind each figure:
//
//	make build && go run ./tests/bench
//
// The route tables of a cluster are measured by themselves (routesCommand):
//
//	go run ./tests/bench routes
//
// So is the comparison with other brokers (peersCommand), for which make
// bench-peers builds them:
//
//	go run ./tests/bench peers -runs 3 -only pairs
//
// And a node with more clients than there are file descriptors (millionCommand):
//
//	go run ./tests/bench million -n 1000000
//
// Each line has a broker of its own, fresh and as it ships. The exit code is 1
// when a figure is above its limit or a run failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "peers" {
		if err := peersCommand(ctx, os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench: peers: %v\n", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "million" {
		if err := millionCommand(ctx, os.Args[2:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintf(os.Stderr, "bench: million: %v\n", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "routes" {
		if err := routesCommand(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench: routes: %v\n", err)
			os.Exit(1)
		}
		return
	}
	var s suite
	only := flag.String("only", "", "measure the lines whose name this regular expression matches")
	flag.StringVar(&s.bin, "bin", "bin", "folder of emqttd and emqttd_bench")
	flag.BoolVar(&s.short, "short", false, "a tenth of the load: shows that it works, not how well")
	flag.Parse()
	if err := s.run(ctx, *only, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// suite is where the programs are, and how much of the load is wanted.
type suite struct {
	bin   string
	short bool
}

// errAbove says that the table has lines that do not keep to their limits.
var errAbove = errors.New("not all limits were kept")

func (s *suite) run(ctx context.Context, only string, w io.Writer) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	fmt.Fprintf(w, "%s, %d × %s/%s, %s\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, processor())
	fmt.Fprintln(w, "| What | Figure | Limit | Kept | Lost | Other load (cores) | Command |")
	fmt.Fprintln(w, "| --- | ---: | ---: | --- | ---: | ---: | --- |")
	bad := false
	for _, m := range measurements {
		if !chosen.MatchString(m.name) || ctx.Err() != nil {
			continue
		}
		kept, err := s.measure(ctx, m, w)
		if err != nil {
			fmt.Fprintf(w, "| %s | failed | | no | | | `%s` |\n", m.name, s.command(m))
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", m.name, err)
		}
		bad = bad || !kept
	}
	if bad || ctx.Err() != nil {
		return errAbove
	}
	return nil
}

// processor is the name of the first one, where the system tells.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	_, rest, _ := strings.Cut(string(b), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	if name := strings.Trim(line, "\t :"); name != "" {
		return name
	}
	return "processor unknown"
}

// command is what the table says to do: host, port and pid are left out.
func (s *suite) command(m measurement) string {
	if m.own != nil {
		return "go run ./tests/bench -only '" + m.name + "'"
	}
	return "emqttd_bench " + strings.Join(s.args(m), " ")
}

func (s *suite) args(m measurement) []string {
	if s.short {
		return strings.Fields(m.short)
	}
	return strings.Fields(m.args)
}

// report is what is measured, on a broker of its own.
func (s *suite) report(ctx context.Context, m measurement) (r result, err error) {
	if m.own != nil {
		return m.own(ctx, s)
	}
	b, err := startBroker(ctx, filepath.Join(s.bin, "emqttd"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	out, err := b.load(ctx, filepath.Join(s.bin, "emqttd_bench"), s.args(m))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", out, err)
	}
	return r, nil
}

// measure prints one line of the table for each figure.
func (s *suite) measure(ctx context.Context, m measurement, w io.Writer) (kept bool, err error) {
	r, err := s.report(ctx, m)
	if err != nil {
		return false, err
	}
	kept = true
	for _, f := range m.figures {
		value, ok := f.of(r)
		if !ok {
			return false, fmt.Errorf("no %s in %v", f.what, r)
		}
		good := f.limit == 0 || value <= f.limit != f.atLeast
		kept = kept && good
		limit, verdict := "", ""
		if f.limit > 0 {
			limit = map[bool]string{false: "≤ ", true: "≥ "}[f.atLeast] + digits(f.limit)
			verdict = map[bool]string{false: "**no**", true: "yes"}[good]
		}
		fmt.Fprintf(w, "| %s: %s | %s %s | %s | %s | %s | %s | `%s` |\n",
			m.name, f.what, digits(value), f.unit, limit, verdict, r.text("lost"), r.text("other_cores"), s.command(m))
	}
	return kept, nil
}

// digits is a number with as many of them as it deserves, in groups of three.
func digits(v float64) string {
	if v < 1000 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
