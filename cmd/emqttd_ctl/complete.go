package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"emqttd/actors/admin"
)

// completion prints the script that makes a shell complete commands and options.
func completion(cmd *cobra.Command, args []string, out io.Writer) error {
	if len(args) == 1 {
		switch args[0] {
		case "bash":
			return cmd.GenBashCompletionV2(out, true)
		case "zsh":
			return cmd.GenZshCompletion(out)
		case "fish":
			return cmd.GenFishCompletion(out, true)
		}
	}
	return fmt.Errorf("%w: completion bash, zsh or fish", errUsage)
}

// complete offers the next word of a command, from the usage of those that every node knows.
func complete(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, u := range usage() {
		line := strings.Fields(u.Line)
		if len(line) <= len(args) || !slices.Equal(line[:len(args)], args) {
			continue
		}
		word := strings.Trim(line[len(args)], "[]")
		if strings.ContainsAny(word, "<|") || !strings.HasPrefix(word, begun) {
			continue
		}
		if len(line) == len(args)+1 {
			word += "\t" + u.Text
		}
		if !slices.ContainsFunc(words, func(w string) bool { return first(w) == first(word) }) {
			words = append(words, word)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func first(word string) string {
	name, _, _ := strings.Cut(word, "\t")
	return name
}

// usage is that of all commands which every node knows, and of those of this program.
func usage() []admin.Usage {
	list := admin.NewRegistry().Usage()
	return append(list, admin.Usage{Line: "completion bash|zsh|fish", Text: "Print what makes a shell complete commands"})
}
