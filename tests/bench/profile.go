package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// profile runs a work once more on our node, whose figures do not count, and
// keeps where its CPU went. It profiles from the start to the end of the load, in
// pieces of two seconds, as the length of that is not known before; the longest
// work has many, of which go tool pprof makes one:
//
//	go tool pprof -top bin/emqttd FOLDER/pairs-QoS-0.*.pprof
func (c *comparison) profile(ctx context.Context, o *outcome) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limitOfRun)
	defer cancel()
	b, err := c.start(ctx, emqttd, o.Settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	loaded := make(chan error, 1)
	go func() {
		_, err := c.load(ctx, b, strings.Fields(o.Command))
		loaded <- err
	}()
	name := regexp.MustCompile(`[^0-9A-Za-z]+`).ReplaceAllString(o.Name, "-")
	for i := 1; ; i++ {
		if err := b.keepProfile(ctx, filepath.Join(c.profiles, fmt.Sprintf("%s.%d.pprof", name, i)), 2*time.Second); err != nil {
			return errors.Join(err, <-loaded)
		}
		select {
		case err := <-loaded:
			return err
		default:
		}
	}
}

// keepProfile writes the node's CPU profile of a time to a file.
func (b *rival) keepProfile(ctx context.Context, path string, length time.Duration) error {
	url := fmt.Sprintf("http://127.0.0.1:%s/debug/pprof/profile?seconds=%.0f", b.api, length.Seconds())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("admin", "public")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, data)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600))
}
