package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// The marks between which a document has its tables; what stands around them is
// written by hand and stays.
const (
	beginMark = "<!-- made by make bench-peers: begin -->"
	endMark   = "<!-- made by make bench-peers: end -->"
)

// busy is how many cores other processes may take before the tables warn.
const busy = 0.1

// tables prints all of it as Markdown.
func (c *comparison) tables(w io.Writer) {
	fmt.Fprintf(w, "Taken on %s at commit %s with `make bench-peers RUNS=%d`. Machine: %s; brokers and generator share it, over loopback.\n",
		c.Date, c.Versions["commit"], c.runs, c.Machine)
	fmt.Fprintf(w, "emqttd %s, mosquitto %s, mochi-mqtt %s, NATS server %s.\n\n",
		c.Versions[emqttd], c.Versions[mosquitto], c.Versions[mochi], c.Versions[nats])
	if others := c.otherLoad(); others > busy {
		fmt.Fprintf(w, "**The machine was busy:** other processes took %s cores (median of all runs). Ratios bear that, rates and times do not.\n\n", digits(others))
	} else {
		fmt.Fprintf(w, "The machine was quiet: other processes took %s cores (median of all runs).\n\n", digits(others))
	}
	fmt.Fprintln(w, "| Work | Figure | Must | Found: median (from – to) | Runs | Kept |")
	fmt.Fprintln(w, "| --- | --- | ---: | ---: | ---: | --- |")
	for _, o := range c.Works {
		for _, f := range o.Goals {
			fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %s |\n", o.Name, f.What, f.Must, f.Found, len(f.Values), f.verdict())
		}
	}
	for _, o := range c.Works {
		o.table(w)
	}
}

// table has a line for each broker.
func (o *outcome) table(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**: `emqttd_bench %s`", o.Name, o.Command)
	if len(o.Settings) > 0 {
		fmt.Fprintf(w, ", emqttd with `%s`", strings.Join(o.Settings, "`, `"))
	}
	fmt.Fprint(w, "\n\n| Broker |")
	line := "| --- |"
	for _, f := range o.work.shown {
		name := f.what
		if f.unit != "" {
			name += ", " + f.unit
		}
		fmt.Fprintf(w, " %s |", name)
		line += " ---: |"
	}
	fmt.Fprintf(w, " Runs |\n%s ---: |\n", line)
	for _, name := range slices.Concat([]string{emqttd}, o.work.others, o.work.beside) {
		if why := o.Failed[name]; why != "" {
			fmt.Fprintf(w, "| %s | left out: %s |%s\n", name, firstLine(why), strings.Repeat(" |", len(o.work.shown)))
			continue
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, f := range o.work.shown {
			text := ""
			if values := o.all(f, name); len(values) > 0 {
				text = digits(median(values))
			}
			fmt.Fprintf(w, " %s |", text)
		}
		fmt.Fprintf(w, " %d |\n", len(o.Reports[name]))
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.ReplaceAll(line, "|", "/")
}

// otherLoad is what the rest of the machine took meanwhile, in cores.
func (c *comparison) otherLoad() float64 {
	var all []float64
	for _, o := range c.Works {
		for _, reports := range o.Reports {
			for _, r := range reports {
				if v, ok := r.number("other_cores"); ok {
					all = append(all, v)
				}
			}
		}
	}
	return median(all)
}

// store puts the tables between the marks of a document, or makes one.
func (c *comparison) store(path string) error {
	var made bytes.Buffer
	fmt.Fprintln(&made, beginMark)
	c.tables(&made)
	made.WriteString(endMark)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.WriteFile(path, append(made.Bytes(), '\n'), 0o644)
	case err != nil:
		return err
	}
	before, rest, ok1 := strings.Cut(string(old), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has not the lines %s and %s", path, beginMark, endMark)
	}
	return os.WriteFile(path, []byte(before+made.String()+after), 0o644)
}
