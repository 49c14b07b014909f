package main

import (
	"errors"
	"os"
	"os/exec"
)

// stopSignals end the node in order.
var stopSignals = []os.Signal{os.Interrupt}

// reloadSignals is empty: emqttd_ctl conf reload is for all systems.
var reloadSignals = []os.Signal{}

var ignoredSignals = []os.Signal{}

// canDaemonise is false: a process in the background is a service here, and this version has none.
const canDaemonise = false

func detach(*exec.Cmd) {}

func terminate(int) error { return errors.New("a process cannot be told to stop on Windows") }

// fileLimit returns 0: there is no such limit.
func fileLimit() uint64 { return 0 }
