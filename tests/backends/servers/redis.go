package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Redis is a single server with a password and keyspace events; TLSAddr speaks TLS.
func Redis(t testing.TB) *Server {
	t.Helper()
	return shared(t, redisKind("redis"))
}

// RedisCluster is a cluster of one node that has all slots.
func RedisCluster(t testing.TB) *Server {
	t.Helper()
	bus, err := freeAddr() // else 10000 above the port, where the kernel takes ports from
	if err != nil {
		t.Fatal(err)
	}
	k := redisKind("redis-cluster", "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", port(bus))
	k.after = func(ctx context.Context, s *Server) error {
		c := redisClient(s)
		defer c.Close()
		return c.ClusterAddSlotsRange(ctx, 0, 16383).Err()
	}
	alone := k.ready
	k.ready = func(ctx context.Context, s *Server) error {
		if err := alone(ctx, s); err != nil {
			return err
		}
		c := redisClient(s)
		defer c.Close()
		info, err := c.ClusterInfo(ctx).Result()
		if err == nil && strings.Contains(info, "cluster_slots_assigned:16384") && !strings.Contains(info, "cluster_state:ok") {
			err = errors.New("the cluster is not ready")
		}
		return err
	}
	return shared(t, k)
}

// RedisSentinel is a sentinel without a password of its own; it knows Redis(t) by
// the name in Database.
func RedisSentinel(t testing.TB) *Server {
	t.Helper()
	master := Redis(t)
	k := redisKind("redis-sentinel")
	k.prepare = func(s *Server) error {
		s.Database = "mymaster"
		conf := fmt.Sprintf("sentinel monitor mymaster 127.0.0.1 %s 1\nsentinel auth-pass mymaster %s\n", port(master.Addr), master.Password)
		return os.WriteFile(s.path("sentinel.conf"), []byte(conf), 0o600)
	}
	k.args = func(s *Server) []string {
		return []string{s.path("sentinel.conf"), "--sentinel", "--port", port(s.Addr), "--bind", "127.0.0.1", "--dir", s.dir}
	}
	k.ready = func(ctx context.Context, s *Server) error {
		c := redis.NewSentinelClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
		defer c.Close()
		return c.GetMasterAddrByName(ctx, s.Database).Err()
	}
	return shared(t, k)
}

func redisKind(name string, more ...string) kind {
	return kind{
		name: name, program: "redis-server", stop: syscall.SIGTERM,
		prepare: func(s *Server) (err error) {
			s.Username, s.Database = "", "0"
			s.TLSAddr, err = freeAddr()
			return err
		},
		args: func(s *Server) []string {
			return append([]string{
				"--port", port(s.Addr), "--bind", "127.0.0.1", "--dir", s.dir,
				"--save", "", "--appendonly", "yes", "--appendfsync", "no", // data outlives an outage
				"--requirepass", s.Password, "--notify-keyspace-events", "KEA",
				"--tls-port", port(s.TLSAddr), "--tls-cert-file", s.CertFile, "--tls-key-file", s.keyFile(), "--tls-auth-clients", "no",
			}, more...)
		},
		ready: func(ctx context.Context, s *Server) error {
			c := redisClient(s)
			defer c.Close()
			pong, err := c.Ping(ctx).Result()
			if err == nil && !strings.EqualFold(pong, "pong") {
				err = fmt.Errorf("it says %q", pong)
			}
			return err
		},
	}
}

func redisClient(s *Server) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Addr, Password: s.Password, MaxRetries: -1})
}
