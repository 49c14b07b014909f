package main

import (
	"context"
	"io"
	"log/slog"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// mochi is mochi-mqtt with its default capabilities, everything in memory, and
// every client allowed everything.
func mochi(ctx context.Context, p place) error {
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := s.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: p.tcp})); err != nil {
		return err
	}
	if p.ws != "" {
		if err := s.AddListener(listeners.NewWebsocket(listeners.Config{ID: "ws", Address: p.ws})); err != nil {
			return err
		}
	}
	if err := s.Serve(); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}
