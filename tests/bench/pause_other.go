//go:build !unix

package main

import (
	"errors"
	"os"
)

var errNoPause = errors.New("processes cannot be stopped here")

func pause(*os.Process) error { return errNoPause }

func resume(*os.Process) error { return errNoPause }
