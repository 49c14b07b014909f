package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// comparison measures our node beside other brokers: in one run on one machine, in
// turns, so that what the machine does beside hits all of them.
type comparison struct {
	*rivals
	short    bool
	runs     int
	profiles string // folder for CPU profiles of our node; none if empty
	progress io.Writer

	Date     string            `json:"date"`
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Works    []*outcome        `json:"works"`
}

// outcome is what was found for one work.
type outcome struct {
	work     work
	Name     string              `json:"name"`
	Command  string              `json:"command"`
	Settings []string            `json:"settings,omitempty"`
	Reports  map[string][]result `json:"reports"`
	Failed   map[string]string   `json:"failed,omitempty"` // by broker: why there is no report
	Goals    []finding           `json:"goals"`
}

// limitOfRun is when a broker is left out that does not come to an end: ten times
// what the longest work takes ours.
const limitOfRun = 90 * time.Second

// peersCommand is `bench peers`.
func peersCommand(ctx context.Context, args []string, w io.Writer) error {
	c := &comparison{rivals: &rivals{}, progress: os.Stderr}
	f := flag.NewFlagSet("peers", flag.ExitOnError)
	f.StringVar(&c.bin, "bin", "bin", "`folder` of emqttd and emqttd_bench")
	f.StringVar(&c.peers, "peers", ".cache/bin/bench-peers", "`program` of tests/bench/peers")
	f.IntVar(&c.runs, "runs", 3, "repetitions")
	only := f.String("only", "", "measure the works whose name this `regexp` matches")
	f.StringVar(&c.profiles, "profiles", "", "put a CPU profile of our node in each work into this `folder`, from a run more")
	out := f.String("out", "", "put the tables into this `file`, between its marks if it has them")
	asJSON := f.Bool("json", false, "print all reports as JSON instead of the tables")
	f.BoolVar(&c.short, "short", false, "a fraction of the load: shows that it works, not how well")
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if c.runs < 1 {
		return fmt.Errorf("-runs %d: at least 1", c.runs)
	}
	c.measure(ctx, chosen)
	if err := ctx.Err(); err != nil {
		return err
	}
	if *out != "" {
		err = c.store(*out)
	}
	if *asJSON {
		return errors.Join(err, json.NewEncoder(w).Encode(c))
	}
	c.tables(w)
	return err
}

func (c *comparison) measure(ctx context.Context, chosen *regexp.Regexp) {
	c.Date = time.Now().UTC().Format("2 January 2006")
	c.Machine = fmt.Sprintf("%d × %s/%s, %s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, processor(), runtime.Version())
	c.Versions = c.versions(ctx)
	for _, k := range works {
		if chosen.MatchString(k.name) {
			c.Works = append(c.Works, c.compare(ctx, k))
		}
	}
}

// compare runs one work on all brokers in turns.
func (c *comparison) compare(ctx context.Context, k work) *outcome {
	o := &outcome{work: k, Name: k.name, Command: k.args, Settings: k.settings, Reports: map[string][]result{}, Failed: map[string]string{}}
	if c.short {
		o.Command = k.short
	}
	runs := c.runs
	if !c.short {
		runs = max(runs, k.runs)
	}
	for i := range runs {
		turn := append([]string{emqttd}, k.others...)
		if i%2 == 1 {
			slices.Reverse(turn) // who comes first is not always the same
		}
		if i == 0 {
			turn = append(turn, k.beside...)
		}
		for _, name := range turn {
			if ctx.Err() != nil || o.Failed[name] != "" {
				continue
			}
			fmt.Fprintf(c.progress, "%s, %d of %d: %s …", k.name, i+1, runs, name)
			r, err := c.once(ctx, o, name)
			if err != nil {
				o.Failed[name] = err.Error()
				fmt.Fprintf(c.progress, " %v\n", err)
				continue
			}
			o.Reports[name] = append(o.Reports[name], r)
			fmt.Fprintf(c.progress, " %s\n", k.brief(r))
		}
	}
	if c.profiles != "" && ctx.Err() == nil {
		if err := c.profile(ctx, o); err != nil {
			fmt.Fprintf(c.progress, "%s: no profile: %v\n", k.name, err)
		}
	}
	o.Goals = o.judge()
	for _, f := range o.Goals {
		fmt.Fprintf(c.progress, "%s: %s: %s: %s\n", k.name, f.What, f.Found, f.verdict())
	}
	return o
}

// once is one run on a fresh broker.
func (c *comparison) once(ctx context.Context, o *outcome, name string) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, limitOfRun)
	defer cancel()
	b, err := c.start(ctx, name, o.Settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	r, err = c.load(ctx, b, strings.Fields(o.Command))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it did not come to an end within %v", limitOfRun)
	}
	return r, err
}

// brief is a report in one line.
func (k *work) brief(r result) (s string) {
	for i, f := range k.shown {
		if v, ok := f.of(r); ok {
			if i > 0 {
				s += ", "
			}
			s += f.what + " " + digits(v) + " " + f.unit
		}
	}
	return s
}
