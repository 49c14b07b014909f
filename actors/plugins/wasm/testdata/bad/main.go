//go:build wasip1

// Bad does whatever a plugin should not.
package main

import (
	"time"

	"emqttd/actors/plugins/wasm/guest"
)

var eaten [][]byte

func main() {
	guest.Run(map[guest.Point]guest.Func{guest.MessagePublish: func(c *guest.Call) guest.Verdict {
		switch c.Topic {
		case "panic":
			panic("as told")
		case "loop":
			for {
			}
		case "eat":
			for {
				eaten = append(eaten, make([]byte, 1<<20))
			}
		case "sleep":
			time.Sleep(time.Hour)
		case "wildcard":
			c.Topic = "a/#"
			return guest.Changed
		}
		return guest.Continue
	}})
}
