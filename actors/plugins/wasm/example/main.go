//go:build wasip1

// Example is a plugin as a WebAssembly module. Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -o data/example.wasm ./actors/plugins/wasm/example
//
// and load it with `emqttd_ctl plugins load example` and this in
// etc/plugins/example.conf:
//
//	wasm.file = data/example.wasm
//
// It takes out what is published below secret/, and writes the texts below loud/ in
// capitals.
package main

import (
	"bytes"
	"strings"

	"emqttd/actors/plugins/wasm/guest"
)

func main() {
	if note, ok := guest.Setting("example.note"); ok {
		guest.Log(1, note)
	}
	guest.Run(map[guest.Point]guest.Func{
		guest.MessagePublish: publish,
		guest.ClientSubscribe: func(c *guest.Call) guest.Verdict {
			if strings.HasPrefix(c.Topic, "secret/") {
				return guest.Stop
			}
			return guest.Continue
		},
	})
}

func publish(c *guest.Call) guest.Verdict {
	switch {
	case strings.HasPrefix(c.Topic, "secret/"):
		return guest.Stop
	case strings.HasPrefix(c.Topic, "loud/"):
		c.Payload = bytes.ToUpper(c.Payload)
		return guest.Changed
	default:
		return guest.Continue
	}
}
