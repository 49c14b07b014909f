// Command emqttd_ctl is the operator's command line: it asks the admin actor of the node on this machine and prints
// what that answers. It knows no command itself, so that plugins can add theirs to the node.
//
// The exit code is 0 when the command was carried out and 1 when it was refused, unknown, found nothing, or the node
// does not run.
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
	"emqttd/config"
)

// version is the release; the build sets it: -ldflags "-X main.version=…".
var version = "0.1.0"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const long = `emqttd_ctl asks the node on this machine. Without a command it lists the commands that the node knows.

Options stand before the command; -c also behind it. What begins with a dash and belongs to the command may follow it
as it is; behind "--" nothing is an option.

--password-stdin among the words of a command stands for a password that is read from the first line of the standard
input, so that other users of this machine do not see it.`

// run returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	file, args, err := conf.Args(args)
	if err != nil {
		fmt.Fprintf(stderr, "emqttd_ctl: %v\n", err)
		return 1
	}
	code := 0
	var node string
	var all bool
	cmd := &cobra.Command{
		Use:           "emqttd_ctl [flags] [command] [arguments]",
		Short:         "Administer an emqttd node",
		Long:          long,
		Version:       version,
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if all {
				return errors.New("--all is not in this version: it speaks to the node on this machine only")
			}
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			if args, err = withPassword(args, stdin); err != nil {
				return err
			}
			code, err = ctl(file, node, args, stdout)
			return err
		},
	}
	// The command's own words are the node's business, also those that look like flags.
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringP("conf", "c", "", "the emq.conf of the node (default $EMQ_HOME/etc/emq.conf)")
	cmd.Flags().StringVar(&node, "node", "", "the node to ask; this version knows the one on this machine only")
	cmd.Flags().BoolVar(&all, "all", false, "ask all nodes of the cluster; not in this version")
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	switch err := cmd.Execute(); {
	case errors.Is(err, admin.ErrNotRunning):
		fmt.Fprintln(stderr, "Node is not running!")
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "emqttd_ctl: %v\n", err)
		return 1
	}
	return code
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
func ctl(file, node string, args []string, stdout io.Writer) (int, error) {
	c, path, problems, err := conf.Load(file)
	if err != nil {
		return 1, err
	}
	if c == nil {
		return 1, fmt.Errorf("the configuration %s is wrong:\n%w", path, problems.Err())
	}
	if err := isLocal(c, node); err != nil {
		return 1, err
	}
	client, err := admin.Dial(c.Node.DistListen, c.Node.Cookie, nil)
	if errors.Is(err, wire.ErrCookie) {
		return 1, fmt.Errorf("node '%s' refuses the cookie of %s (node.cookie)", c.Node.Name, path)
	}
	if err != nil {
		return 1, err
	}
	defer client.Close()
	return client.Run(stdout, args...)
}

func isLocal(c *config.Config, node string) error {
	if node == "" || node == c.Node.Name {
		return nil
	}
	return fmt.Errorf("--node %s: this version speaks to the node on this machine only, which is %s", node, c.Node.Name)
}
