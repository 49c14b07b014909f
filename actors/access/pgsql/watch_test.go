package pgsql

import (
	"testing"
	"time"

	"emqttd/actors/access"
	"emqttd/tests/backends/proxy"
	"emqttd/tests/backends/servers"
	"emqttd/tests/backends/suite"
)

const channel = `emqttd "access"`

func watched(t *testing.T, s *servers.Server, change func(*Options)) *Module {
	t.Helper()
	o := options(t, s, "plain")
	o.Channel = channel
	if change != nil {
		change(&o)
	}
	m := open(t, o)
	t.Cleanup(func() { m.Close() })
	return m
}

func TestNotificationIsTold(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	w := suite.Watch(t, watched(t, s, func(o *Options) { o.Keepalive = 50 * time.Millisecond }))
	for payload, want := range map[string]access.Selector{
		`{"username": "alice"}`:                    {Username: "alice"},
		`{"clientid": "c1"}`:                       {ClientID: "c1"},
		`{"clientid": "c1", "username": "al'ice"}`: {ClientID: "c1", Username: "al'ice"},
		``:                 {},
		`{`:                {},
		`{"username": 17}`: {},
	} {
		w.Hears(t, want, func() { exec(t, db, "SELECT pg_notify($1, $2)", channel, payload) })
	}
}

func TestWatchEndsWithTheServerAndTellsThatItMissedSomething(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	m := watched(t, s, nil)
	w := suite.Watch(t, m)
	w.Hears(t, access.Selector{Username: "first"}, func() { exec(t, db, "SELECT pg_notify($1, $2)", channel, `{"username": "first"}`) })
	s.Stop(t)
	w.Fails(t)
	s.Start(t)
	suite.Watch(t, m).Hears(t, access.Selector{}, func() {})
}

func TestHalfOpenServerEndsAWatch(t *testing.T) {
	s := servers.PostgreSQL(t)
	db := seeded(t, s)
	p := proxy.New(t, s.Addr)
	w := suite.Watch(t, watched(t, s, func(o *Options) { o.Addr, o.Keepalive = p.Addr, 100*time.Millisecond }))
	w.Hears(t, access.Selector{Username: "here"}, func() { exec(t, db, "SELECT pg_notify($1, $2)", channel, `{"username": "here"}`) })
	p.Set(proxy.Fault{Stall: true})
	w.Fails(t)
}
