package store

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// salvage is called when pebble cannot open the folder for what stands in it.
func (d *Disk) salvage(dir string, lock *pebble.Lock, cause error) (*pebble.DB, error) {
	aside := dir + ".corrupt-" + now()
	d.log.Error("store is corrupt", slog.Any("reason", cause), slog.String("folder", aside))
	return nil, cause
}
