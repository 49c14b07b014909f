package clients

import (
	"flag"
	"os"
	"testing"

	"emqttd/tests/testkit"
)

// TestMain lets more tests run side by side than there are processors: most of
// those that do are waiting for an interval to pass.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(testkit.Main(m))
}
