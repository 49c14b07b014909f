package testkit

import "emqttd/actors/connections/memnet"

// Network is a network in memory: a net.Listener whose Dial connects to it. It
// needs no file descriptors, so that there may be as many connections as memory
// holds.
type Network = memnet.Network

// NewNetwork makes a network on which nobody accepts yet.
func NewNetwork() *Network { return memnet.New() }
