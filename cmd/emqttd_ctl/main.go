// Command emqttd_ctl is the operator's command line: it asks the admin actor of the node on this machine, which relays
// what is for others, and prints what that answers. It knows no command itself, so that plugins can add theirs to the
// node.
//
// The exit code is 0 when the command was carried out, 1 when it was refused, failed, found nothing or the node does not
// run, and 2 when it was called the wrong way.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"emqttd/actors/admin"
	"emqttd/cluster/wire"
	"emqttd/cmd/internal/conf"
)

// version is the release; the build sets it: -ldflags "-X main.version=…".
var version = "0.1.0"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const long = `emqttd_ctl asks the node on this machine. Without a command it lists the commands that the node knows.

Options stand before the command; -c also behind it. What begins with a dash and belongs to the command may follow it
as it is; behind "--" nothing is an option.

--password-stdin among the words of a command stands for a password that is read from the first line of the standard
input, so that other users of this machine do not see it.

emqttd_ctl completion bash|zsh|fish prints what makes that shell complete commands and options.`

// options are those of the program; the command's own are its words.
type options struct {
	file, node       string
	all, json, table bool
}

// errUsage is that the program was called the wrong way.
var errUsage = errors.New("wrong usage")

// run returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	var err error
	if o.file, args, err = conf.Args(args); err != nil {
		fmt.Fprintf(stderr, "emqttd_ctl: %v\n", err)
		return admin.ExitUsage
	}
	code := admin.ExitOK
	cmd := command(&o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		switch {
		case o.json && o.table, o.all && o.node != "":
			return fmt.Errorf("%w: --json and --table, and --node and --all, exclude each other", errUsage)
		case len(args) > 0 && args[0] == "completion":
			return completion(cmd, args[1:], stdout)
		}
		if args, err = withPassword(args, stdin); err != nil {
			return err
		}
		code, err = ctl(&o, args, stdout)
		return err
	}
	cmd.SetArgs(append([]string{}, args...)) // cobra takes nil for os.Args
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	switch err := cmd.Execute(); {
	case errors.Is(err, admin.ErrNotRunning):
		fmt.Fprintln(stderr, "Node is not running!")
		return admin.ExitFailed
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "emqttd_ctl: %v\n", err)
		return admin.ExitUsage
	case err != nil:
		fmt.Fprintf(stderr, "emqttd_ctl: %v\n", err)
		return admin.ExitFailed
	}
	return code
}

// command is the program as cobra knows it.
func command(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "emqttd_ctl [flags] [command] [arguments]",
		Short:             "Administer an emqttd node",
		Long:              long,
		Version:           version,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: complete,
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	f := cmd.Flags()
	// The command's own words are the node's business, also those that look like flags.
	f.SetInterspersed(false)
	f.StringP("conf", "c", "", "the emq.conf of the node (default $EMQ_HOME/etc/emq.conf)")
	f.StringVar(&o.node, "node", "", "the node of the cluster that is meant; the one on this machine asks it")
	f.BoolVar(&o.all, "all", false, "ask all nodes of the cluster, one after the other")
	f.BoolVar(&o.json, "json", false, "print JSON, an object a line")
	f.BoolVar(&o.table, "table", false, "print a table")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	return cmd
}

// withPassword puts a password from the standard input where a command has --password-stdin: behind --password with those
// that have such an option, as it is with others.
func withPassword(args []string, stdin io.Reader) ([]string, error) {
	i := slices.Index(args, "--password-stdin")
	if i < 0 {
		return args, nil
	}
	line, err := bufio.NewReader(io.LimitReader(stdin, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	password := []string{strings.TrimRight(line, "\r\n")}
	if args[0] == "access" {
		password = append([]string{"--password"}, password...)
	}
	return slices.Concat(args[:i], password, args[i+1:]), nil
}

// maxPassword is the longest that MQTT can say.
const maxPassword = 1 << 16

// ctl runs one command on the node that the configuration names.
func ctl(o *options, args []string, stdout io.Writer) (int, error) {
	loaded, path, problems, err := conf.Load(o.file)
	if err != nil {
		return admin.ExitFailed, err
	}
	isConf := len(args) > 0 && args[0] == "conf"
	if err := problems.Err(); err != nil && !isConf { // conf is for putting that right
		return admin.ExitFailed, fmt.Errorf("the configuration %s is wrong:\n%w", path, err)
	}
	if isConf {
		args = absolute(args)
	}
	c := loaded.Config
	client, err := admin.DialNode(c)
	if errors.Is(err, admin.ErrNotRunning) && isCheck(args) && o.node == "" && !o.all {
		return check(o, loaded, problems, args[2:], stdout)
	}
	if wrong := problems.Err(); err != nil && wrong != nil { // it may run elsewhere than what could be read says
		return admin.ExitFailed, fmt.Errorf("no node answers, and the configuration %s is wrong:\n%w", path, wrong)
	}
	if errors.Is(err, wire.ErrCookie) {
		return admin.ExitFailed, fmt.Errorf("node '%s' refuses the cookie of %s (node.cookie)", c.Node.Name, path)
	}
	if err != nil {
		return admin.ExitFailed, err
	}
	defer client.Close()
	out := stdout
	if o.table {
		out = &table{out: stdout}
	}
	cmd := admin.Command{Args: args, JSON: o.json || o.table, Node: o.node, All: o.all}
	if isLive(args) {
		return watch(client, cmd, out, stdout)
	}
	return client.Do(out, cmd)
}
