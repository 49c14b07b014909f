package architecture

import (
	"os"
	"testing"

	"emqttd/tests/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
