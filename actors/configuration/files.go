package configuration

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Why a file is not replaced.
var (
	errReadOnly = errors.New("it is read-only")
	errEdited   = errors.New("somebody has changed it meanwhile: try again")
)

// replaceFile gives a file another text: the whole of it or, after a crash, none. A
// link stays, what it leads to is replaced; the permissions stay. before is what must
// be there still; nil for anything.
func replaceFile(path string, text, before []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o200 == 0 { // renaming would not mind
		return errReadOnly
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if before != nil && !bytes.Equal(now, before) {
		return errEdited
	}
	return writeFile(path, text, info.Mode().Perm())
}

// writeFile writes a file of its own, syncs it, and renames it to path.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	temp, err := stageFile(path, text, mode)
	if err != nil {
		return err
	}
	return publishFile(temp, path)
}

// stageFile writes what will be the file at path beside it. No glob finds it that is
// for files of configuration.
func stageFile(path string, text []byte, mode fs.FileMode) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// publishFile puts a staged file where it belongs.
func publishFile(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // a system that does not open folders cannot sync them
	}
	_ = dir.Sync() // some file systems cannot; the file itself is safe
	return dir.Close()
}
