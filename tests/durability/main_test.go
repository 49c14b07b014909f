// Package durability proves that what the broker has acknowledged is safe:
// when the power goes, when the process is killed, when the disk fails or is
// full, and when the folder is not what it should be.
package durability

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"emqttd/tests/testkit"
)

// A store that has failed leaves pebble as it is until the process ends.
const pebble = "github.com/cockroachdb/pebble/v2"

func TestMain(m *testing.M) {
	os.Exit(testkit.Main(m,
		goleak.IgnoreAnyFunction(pebble+"/internal/genericcache.(*shard[...]).releaseLoop"),
		goleak.IgnoreAnyFunction(pebble+".(*cleanupManager).mainLoop"),
		goleak.IgnoreAnyFunction(pebble+".(*ConcurrencyLimitScheduler).periodicGranter"),
		goleak.IgnoreAnyFunction(pebble+"/record.(*LogWriter).flushLoop"),
		goleak.IgnoreAnyFunction(pebble+"/vfs.(*diskHealthCheckingFS).startTickerLocked.func1"),
		goleak.IgnoreAnyFunction(pebble+"/vfs.(*diskHealthCheckingFile).startTicker.func1"),
	))
}
