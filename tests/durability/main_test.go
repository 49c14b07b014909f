// Package durability proves that what the broker has acknowledged is safe:
// when the power goes, when the process is killed, when the disk fails or is
// full, and when the folder is not what it should be.
package durability

import (
	"os"
	"testing"

	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
