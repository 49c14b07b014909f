package servers

import (
	"context"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

func TestEachServerIsStoppedAndStartedWhereItWas(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *Server{
		"redis": Redis, "redis cluster": RedisCluster, "redis sentinel": RedisSentinel,
		"mysql": MySQL, "pgsql": PostgreSQL, "ldap": LDAP, "mongo": Mongo,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if open(t) != s {
				t.Fatal("the second test got another one")
			}
			s.Stop(t)
			if c, err := net.Dial("tcp", s.Addr); err == nil {
				c.Close()
				t.Fatal("it listens though it was stopped")
			}
			s.Start(t)
			if err := s.ready(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		})
	}
}
