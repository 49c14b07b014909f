package main

import (
	"io"
	"path/filepath"
	"slices"
	"strings"

	"emqttd/actors/admin"
	"emqttd/config"
)

// absolute makes the file of conf check and conf diff one that the node finds, too. A number is that of a configuration.
func absolute(args []string) []string {
	if len(args) != 3 || args[1] != "check" && args[1] != "diff" || strings.Trim(args[2], "0123456789") == "" {
		return args
	}
	path, err := filepath.Abs(args[2])
	if err != nil {
		return args // the node says what is wrong with it
	}
	return append(slices.Clone(args[:2]), path)
}

func isCheck(args []string) bool {
	return len(args) >= 2 && len(args) <= 3 && args[0] == "conf" && args[1] == "check"
}

// check is conf check without a node: with the environment of this program.
func check(o *options, loaded *config.Loaded, problems config.Problems, file []string, stdout io.Writer) (int, error) {
	if len(file) == 1 {
		_, problems = loaded.Other(file[0])
	}
	res := admin.ConfProblems(problems, o.json || o.table)
	if o.table {
		stdout = &table{out: stdout}
	}
	_, err := io.WriteString(stdout, res.Text)
	return res.ExitCode, err
}
