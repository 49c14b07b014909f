package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"emqttd/actors/access"
	"emqttd/actors/access/template"
)

// watched is a family of keys: those that one command reads.
type watched struct {
	prefix, suffix string
	placeholder    byte // 0: the key does not say by itself whom it is about
}

// families of the keys that the commands read, each once.
func (m *Module) families() []watched {
	var all []watched
	for _, c := range []command{m.auth, m.super, m.acl} {
		key, ok := c.key()
		if !ok {
			continue
		}
		var w watched
		if w.prefix, w.suffix, w.placeholder, ok = key.Around(); !ok {
			w = watched{prefix: key.Head()}
		}
		if !contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

func contains(all []watched, w watched) bool {
	for _, other := range all {
		if other == w {
			return true
		}
	}
	return false
}

// channel is the pattern of the channels that announce changes of the keys.
func (w watched) channel(database int) string {
	return fmt.Sprintf("__keyspace@%d__:%s*%s", database, globEscape(w.prefix), globEscape(w.suffix))
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`)

func globEscape(s string) string { return globEscaper.Replace(s) }

// selector is whom a key is about; false if it is not of the family.
func (w watched) selector(key string) (access.Selector, bool) {
	rest, ok := strings.CutPrefix(key, w.prefix)
	if !ok {
		return access.Selector{}, false
	}
	value, ok := strings.CutSuffix(rest, w.suffix)
	if !ok || value == "" {
		return access.Selector{}, false
	}
	switch w.placeholder {
	case template.Username:
		return access.Selector{Username: value}, true
	case template.ClientID:
		return access.Selector{ClientID: value}, true
	}
	return access.Selector{}, true
}

// Watch listens to the announcements of changed keys: on each master of a cluster.
// It tells that everything may have changed when it listens again after it could not.
func (m *Module) Watch(ctx context.Context, changed func(access.Selector)) error {
	families := m.families()
	if !m.o.Watch || len(families) == 0 {
		<-ctx.Done()
		return nil
	}
	missed := m.watched.Swap(true)
	listening := func() {
		if missed {
			changed(access.Selector{})
		}
	}
	cluster, ok := m.client.(*redis.ClusterClient)
	if !ok {
		return m.listen(ctx, m.client, families, listening, changed)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lock sync.Mutex // changed is called by one at a time
	one := func(s access.Selector) {
		lock.Lock()
		defer lock.Unlock()
		changed(s)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		defer cancel() // one that ends takes the others with it
		return m.listen(ctx, c, families, listening, one)
	})
}

type subscriber interface {
	PSubscribe(ctx context.Context, patterns ...string) *redis.PubSub
}

func (m *Module) listen(ctx context.Context, c subscriber, families []watched, listening func(), changed func(access.Selector)) error {
	ps := c.PSubscribe(ctx)
	defer func() { _ = ps.Close() }()
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })() // a read does not look at ctx
	for _, w := range families {
		if err := ps.PSubscribe(ctx, w.channel(m.o.Database)); err != nil {
			return ended(ctx, err)
		}
	}
	for waiting := len(families); ; {
		msg, err := m.receive(ctx, ps)
		if err != nil {
			return ended(ctx, err)
		}
		switch msg := msg.(type) {
		case *redis.Subscription:
			if waiting--; waiting == 0 {
				listening()
			}
		case *redis.Message:
			_, key, _ := strings.Cut(msg.Channel, "__:")
			for _, w := range families {
				if s, ok := w.selector(key); ok {
					changed(s)
					break
				}
			}
		}
	}
}

// receive waits for the next message. The server must say something within the
// keepalive, at least that it is there, when it is asked.
func (m *Module) receive(ctx context.Context, ps *redis.PubSub) (any, error) {
	for asked := false; ; asked = true {
		msg, err := ps.ReceiveTimeout(ctx, m.o.Keepalive)
		var slow net.Error
		if err == nil || asked || !errors.As(err, &slow) || !slow.Timeout() {
			return msg, err
		}
		if err := ps.Ping(ctx); err != nil {
			return nil, err
		}
	}
}

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("redis: watch: %w", err)
}
