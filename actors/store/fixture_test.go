package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAFolderOfEachFormatOpens opens the folders under testdata, one for each
// format version that was ever released, and finds everything in them. A new
// format gets a folder of its own, which STORE_FIXTURE=v2 go test writes; those
// that are there are never written again.
func TestAFolderOfEachFormatOpens(t *testing.T) {
	if name := os.Getenv("STORE_FIXTURE"); name != "" {
		o := options(vfs.Default)
		o.Dir = filepath.Join("testdata", name)
		filled(t, o)
	}
	formats, err := filepath.Glob("testdata/v*")
	if err != nil || len(formats) != formatVersion {
		t.Fatalf("%d formats have a folder, %d should: %v", len(formats), formatVersion, err)
	}
	for _, dir := range formats {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			o := options(vfs.Default)
			o.Dir = filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(o.Dir, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			d := start(t, o)
			defer d.stop(t)
			complete(t, d.Disk)
		})
	}
}
