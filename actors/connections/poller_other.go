//go:build !linux

package connections

import "errors"

// HasEpoll says whether a Runtime can do what Epoll asks for on this system.
const HasEpoll = false

// poller is there on Linux only.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.New("this system has no epoll") }

func (*poller) close() {}

// polled is how a connection is held that the poller reads; nil: a goroutine has to.
func (*poller) polled(Transport) (Polled, error) { return nil, nil }
