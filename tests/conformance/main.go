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
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"emqttd/tests/conformance/report"
	"emqttd/tests/conformance/script"
	"emqttd/tests/conformance/spec"
)

func main() {
	var controls []string
	addr := flag.String("addr", "127.0.0.1:1883", "the broker's `host:port`")
	version := flag.String("version", "all", "statements of `3.1.1`, 5.0 or all")
	run := flag.String("run", "", "only tests whose name matches this `regexp`")
	timeout := flag.Duration("timeout", 3*time.Second, "how long an answer may take")
	quiet := flag.Duration("quiet", 300*time.Millisecond, "how long nothing has to come where nothing may come")
	parallel := flag.Int("parallel", 32, "how many tests run at once")
	ws := flag.String("ws", "", "the broker's WebSocket, `ws://host:port/path`, for the statements on it")
	scram := flag.String("scram", "", "`user:password` of SCRAM-SHA-256, for the statements on enhanced authentication")
	asJSON := flag.Bool("json", false, "print the results as JSON, the totals go to standard error")
	verbose := flag.Bool("v", false, "also list what passed")
	doc := flag.String("doc", "", "write the results as a table to this `file`")
	name := flag.String("name", "emqttd", "with -doc: what the broker at -addr is called")
	flag.Func("control", "with -doc: `name=host:port[,ws://host:port/path]` of a broker to compare with", func(s string) error {
		controls = append(controls, s)
		return nil
	})
	flag.Parse()
	all, err := spec.Statements()
	if err != nil {
		fail(err)
	}
	var match *regexp.Regexp
	if *run != "" {
		if match, err = regexp.Compile(*run); err != nil {
			fail(err)
		}
	}
	if *version != "all" && script.Levels[*version] == 0 {
		fail(fmt.Errorf("no version %q", *version))
	}
	statements := report.Select(all, *version, match)
	o := script.Options{Addr: *addr, Timeout: *timeout, Quiet: *quiet, Scram: *scram, WS: *ws}
	results := report.Run(statements, o, *parallel)
	if *doc != "" {
		columns := []report.Column{{Name: *name, Results: results}}
		for _, c := range controls {
			who, where, ok := strings.Cut(c, "=")
			if !ok {
				fail(fmt.Errorf("-control %s: want name=host:port", c))
			}
			o.Addr, o.WS, _ = strings.Cut(where, ",")
			o.Scram = ""
			columns = append(columns, report.Column{Name: who, Results: report.Run(statements, o, *parallel)})
		}
		if err := report.Document(*doc, columns); err != nil {
			fail(err)
		}
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(results); err != nil {
			fail(err)
		}
		report.Text(os.Stderr, results, *verbose)
	} else {
		report.Text(os.Stdout, results, *verbose)
	}
	if report.Count(results)[report.Failed] > 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(2)
}
