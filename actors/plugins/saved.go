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

// writeNames replaces the file in one step.
func writeNames(file string, names []string) error {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n + ".\n")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	temp := file + ".new"
	if err := os.WriteFile(temp, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(temp, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
