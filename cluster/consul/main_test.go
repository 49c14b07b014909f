package consul

import (
	"os"
	"testing"

	"emqttd/tests/backends/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
