// Package conf finds the emq.conf that both programs are meant to read: emqttd_ctl must arrive at the node which emqttd
// started from the same place.
package conf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"emqttd/config"
)

// Args takes -c FILE (or -cFILE, -c=FILE, --conf FILE, --conf=FILE) out of the arguments, wherever it stands: before
// or after the verb. Behind "--" nothing is touched, so that a client id may be "-c".
func Args(args []string) (file string, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return file, append(rest, args[i:]...), nil
		}
		switch {
		case arg == "-c" || arg == "--conf":
			if i+1 == len(args) || args[i+1] == "" {
				return "", nil, errors.New(arg + " needs the path of an emq.conf")
			}
			i++
			file = args[i]
		case strings.HasPrefix(arg, "--conf="):
			file = strings.TrimPrefix(arg, "--conf=")
		case strings.HasPrefix(arg, "-c") && !strings.HasPrefix(arg, "--"):
			file = strings.TrimPrefix(strings.TrimPrefix(arg, "-c"), "=")
		default:
			rest = append(rest, arg)
			continue
		}
		if file == "" {
			return "", nil, errors.New("-c needs the path of an emq.conf")
		}
	}
	return file, rest, nil
}

// File is the emq.conf to read: the one named by -c, else EMQ_HOME/etc/emq.conf, else etc/emq.conf beside the folder of
// the program. The path is absolute, so that a daemon finds it from any working directory.
func File(named string) (string, error) {
	if named == "" {
		if home := os.Getenv("EMQ_HOME"); home != "" {
			named = filepath.Join(home, "etc", "emq.conf")
		} else {
			program, err := os.Executable()
			if err != nil {
				return "", err
			}
			if real, err := filepath.EvalSymlinks(program); err == nil {
				program = real // bin/emqttd may be a link from /usr/bin
			}
			named = filepath.Join(filepath.Dir(filepath.Dir(program)), "etc", "emq.conf")
		}
	}
	return filepath.Abs(named)
}

// Load reads the configuration that -c FILE means. The path is returned, and what could be read of the configuration,
// whatever is wrong with its contents.
func Load(named string) (*config.Loaded, string, config.Problems, error) {
	file, err := File(named)
	if err != nil {
		return nil, "", config.Problems{}, err
	}
	c, problems := config.Read(config.Sources{File: file, Env: os.Environ()})
	return c, file, problems, nil
}
