// Package spec holds the normative statements of MQTT 3.1.1 and 5.0 as data: the
// requirement in our words, and the exchanges that decide it or the reason why
// none can. The language of the exchanges is explained in package script.
package spec

import (
	"embed"
	"io/fs"
	"strings"

	"emqttd/tests/conformance/script"
)

//go:embed data
var data embed.FS

// Statements returns the statements of both versions, in the order of the
// specifications.
func Statements() ([]*script.Statement, error) {
	var files []script.File
	err := fs.WalkDir(data, "data", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(data, path)
		f := script.File{Name: strings.TrimPrefix(path, "data/"), Text: string(text)}
		if dir, _, ok := strings.Cut(f.Name, "/"); ok {
			f.Version = dir
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return script.Parse(files)
}
