package plugins

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readNames reads the file of loaded plugins: a name in each line, with a dot
// behind it. ok is false where there is no file.
func readNames(file string) (names []string, ok bool, err error) {
	src, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, line := range strings.Split(string(src), "\n") {
		if name := strings.TrimSuffix(strings.TrimSpace(line), "."); name != "" && name[0] != '%' {
			names = append(names, name)
		}
	}
	return names, true, nil
}

// writeNames replaces the file in one step, also for a computer that loses its power:
// an empty list would be one of no plugins.
func writeNames(file string, names []string) error {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n + ".\n")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	temp := file + ".new"
	if err := writeSafe(temp, b.String()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(temp, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// writeSafe writes a file that is on disk when it returns.
func writeSafe(file, text string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// builtIn are names in the lists of EMQ 2.0 to 2.3 for what needs no plugin here.
var builtIn = map[string]string{
	"emq_dashboard": "what it shows is a part of the HTTP API",
	"emq_recon":     "emqttd_ctl vm shows what it did",
	"emq_reloader":  "there is no code to be loaded again",
}

// today is what a name of the list means: as a rule that plugin, but EMQ has had
// other names for some. otherwise are those of a node without a list. A name that
// means something else is told once.
func (h *Host) today(name string, otherwise []string) []string {
	h.mu.Lock()
	known := h.known[name] != nil
	h.mu.Unlock()
	var now []string
	switch {
	case known:
		return []string{name}
	case name == "emq_modules":
		for _, n := range otherwise {
			if strings.HasPrefix(n, "emq_mod_") {
				now = append(now, n)
			}
		}
	case name == "emq_mod_retainer":
		now = []string{"emq_retainer"}
	case builtIn[name] != "":
		h.ground.Log.Info("a plugin of EMQ is built in", "plugin", name, "reason", builtIn[name])
		return nil
	default:
		return []string{name}
	}
	h.ground.Log.Info("a plugin of EMQ has other names", "plugin", name, "names", now)
	return now
}
