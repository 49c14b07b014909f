// Command conformance runs the normative statements of MQTT 3.1.1 and 5.0
// against a broker, of which it needs to know an address only:
//
//	go run ./tests/conformance -addr host:port [-version 3.1.1|5.0|all] [-run regexp] [-json] [-ws ws://host:port/path] [-scram user:password]
//
// It exits with 1 if a statement fails. The last line is
//
//	conformance: N passed, F failed, U undecidable
//
// in statements. Tests use Client Identifiers and topics that nobody else has,
// so the broker may serve others meanwhile; it must let anybody connect.
//
// With -doc it writes the table docs/conformance.md; brokers to compare with
// are named by -control name=host:port[,ws://host:port/path].
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"emqttd/tests/conformance/report"
	"emqttd/tests/conformance/script"
	"emqttd/tests/conformance/spec"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// settings are what the command line says.
type settings struct {
	script.Options
	version, match, doc, name string
	parallel                  int
	json, verbose             bool
	controls                  []string
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	var s settings
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.Addr, "addr", "127.0.0.1:1883", "the broker's `host:port`")
	f.StringVar(&s.version, "version", "all", "statements of `3.1.1`, 5.0 or all")
	f.StringVar(&s.match, "run", "", "only tests whose name matches this `regexp`")
	f.DurationVar(&s.Timeout, "timeout", 3*time.Second, "how long an answer may take")
	f.DurationVar(&s.Quiet, "quiet", 300*time.Millisecond, "how long nothing has to come where nothing may come")
	f.IntVar(&s.parallel, "parallel", 32, "how many tests run at once")
	f.StringVar(&s.WS, "ws", "", "the broker's WebSocket, `ws://host:port/path`, for the statements on it")
	f.StringVar(&s.Scram, "scram", "", "`user:password` of SCRAM-SHA-256, for the statements on enhanced authentication")
	f.BoolVar(&s.json, "json", false, "print the results as JSON, what else is said goes to standard error")
	f.BoolVar(&s.verbose, "v", false, "also list what passed")
	f.StringVar(&s.doc, "doc", "", "write the results as a table to this `file`")
	f.StringVar(&s.name, "name", "emqttd", "with -doc: what the broker at -addr is called")
	f.Func("control", "with -doc: `name=host:port[,ws://host:port/path]` of a broker to compare with", func(c string) error {
		if !strings.Contains(c, "=") {
			return errors.New("want name=host:port")
		}
		s.controls = append(s.controls, c)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || s.parallel < 1 || s.version != "all" && script.Levels[s.version] == 0 {
		f.Usage()
		return nil, errors.New("no such arguments")
	}
	return &s, nil
}

// run does what main says and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(err)
	}
	all, err := spec.Statements()
	if err != nil {
		return fail(err)
	}
	var match *regexp.Regexp
	if s.match != "" {
		if match, err = regexp.Compile(s.match); err != nil {
			return fail(err)
		}
	}
	statements := report.Select(all, s.version, match)
	results := report.Run(statements, s.Options, s.parallel)
	if s.doc != "" {
		if err := report.Document(s.doc, s.columns(statements, results)); err != nil {
			return fail(err)
		}
	}
	if s.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(results); err != nil {
			return fail(err)
		}
		stdout = stderr
	}
	report.Text(stdout, results, s.verbose)
	if report.Count(results)[report.Failed] > 0 {
		return 1
	}
	return 0
}

// columns runs the controls and puts their results beside ours.
func (s *settings) columns(statements []*script.Statement, ours []report.Result) []report.Column {
	columns := []report.Column{{Name: s.name, Results: ours}}
	for _, c := range s.controls {
		who, where, _ := strings.Cut(c, "=")
		o := s.Options
		o.Scram = ""
		o.Addr, o.WS, _ = strings.Cut(where, ",")
		columns = append(columns, report.Column{Name: who, Results: report.Run(statements, o, s.parallel)})
	}
	return columns
}
