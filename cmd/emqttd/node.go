package main

import (
	"os"

	"emqttd/actors/node"
	"emqttd/actors/system/memory"
	"emqttd/config"
)

// startNode starts the broker. It is a variable because the tests of the verbs need a node that fails as they like.
var startNode = func(c *config.Config, o bootOptions) (broker, error) {
	n, err := node.Start(c, node.Options{
		Logger: o.logger, Version: version, OnGiveUp: o.giveUp, Boot: o.boot, Conf: o.conf,
		Plugins: linked(),
		FixedGC: os.Getenv("GOGC") != "", MemoryLimit: memory.Limit(uint64(c.Node.MemoryLimit)),
	})
	if err != nil {
		return nil, err // a nil *node.Node is no nil broker
	}
	return n, nil
}
