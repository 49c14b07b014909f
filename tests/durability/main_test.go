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
const pebblePath = "github.com/cockroachdb/pebble/v2"

func TestMain(m *testing.M) {
	os.Exit(testkit.Main(m,
		goleak.IgnoreAnyFunction(pebblePath+"/internal/genericcache.(*shard[...]).releaseLoop"),
		goleak.IgnoreAnyFunction(pebblePath+".(*cleanupManager).mainLoop"),
		goleak.IgnoreAnyFunction(pebblePath+".(*ConcurrencyLimitScheduler).periodicGranter"),
		goleak.IgnoreAnyFunction(pebblePath+"/record.(*LogWriter).flushLoop"),
		goleak.IgnoreAnyFunction(pebblePath+"/vfs.(*diskHealthCheckingFS).startTickerLocked.func1"),
		goleak.IgnoreAnyFunction(pebblePath+"/vfs.(*diskHealthCheckingFile).startTicker.func1"),
	))
}
