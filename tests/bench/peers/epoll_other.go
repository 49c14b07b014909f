//go:build !linux

package main

import (
	"context"
	"errors"
)

func floorOfEpoll(context.Context, place) error { return errors.New("epoll is Linux's") }
