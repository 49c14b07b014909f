// Package broker says how the node is, under $SYS/brokers (EMQ's emqttd_broker):
// the nodes and version, uptime and time of day, stats and metrics.
//
// The actor's parent is the supervisor system. It wakes up every second while
// somebody may listen, and publishes through the function it is given. A crash
// costs one round. Its mailbox holds at most one tick.
package broker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
)

// Description is what $SYS and the command line call this broker.
const Description = "Go MQTT Broker"

// Options of the broker actor.
type Options struct {
	Node     string
	Nodes    func() []string // names of the running nodes; nil: there is only this one
	Version  string
	Started  time.Time
	Interval time.Duration // between two rounds of everything but uptime and datetime; 0 is never
	Metrics  *metrics.Registry
	// Publish publishes a $SYS message of QoS 0. It does not block.
	Publish func(topic, payload string, retain bool)
}

// Spec is the child of the supervisor system.
func Spec(o Options) kernel.ChildSpec {
	return kernel.ChildSpec{
		Name:  "broker",
		Props: kernel.NewProps(func() actor.Actor { return &broker{o: &o} }),
	}
}

// SetInterval asks the actor for another Interval. Unanswered.
type SetInterval struct{ Interval time.Duration }

// tick is sent by the actor to itself every second.
type tick struct{}

type broker struct {
	o     *Options // of all incarnations: Interval survives a crash
	timer *time.Timer
	next  time.Time // of the round that Interval sets
}

// Receive implements actor.Actor.
func (b *broker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		if b.o.Interval > 0 {
			b.next = time.Now().Add(b.o.Interval)
			b.arm(c)
		}
	case *actor.Stopping, *actor.Restarting:
		if b.timer != nil {
			b.timer.Stop()
		}
	case *SetInterval:
		b.setInterval(c, m.Interval)
	case *tick:
		if b.o.Interval == 0 {
			return // it was on its way when that was changed
		}
		b.second()
		b.arm(c)
	}
}

// setInterval lets the next round come as if the interval had been this one before.
func (b *broker) setInterval(c actor.Context, interval time.Duration) {
	before := b.o.Interval
	if b.o.Interval = interval; interval == 0 {
		if b.timer != nil {
			b.timer.Stop()
		}
		return
	}
	if b.next = b.next.Add(interval - before); before == 0 {
		b.next = time.Now().Add(interval)
	}
	b.arm(c)
}

func (b *broker) arm(c actor.Context) {
	if b.timer != nil { // a tick from before a restart must not start a second clock
		b.timer.Stop()
	}
	system, self := c.ActorSystem(), c.Self()
	b.timer = time.AfterFunc(time.Second, func() { system.Root.Send(self, &tick{}) })
}

func (b *broker) second() {
	now := time.Now()
	b.say("uptime", Uptime(now.Sub(b.o.Started)), false)
	b.say("datetime", now.Format(time.DateTime), false)
	if now.Before(b.next) {
		return
	}
	for !now.Before(b.next) { // rounds that were slept through are not made up for
		b.next = b.next.Add(b.o.Interval)
	}
	nodes := []string{b.o.Node}
	if b.o.Nodes != nil {
		nodes = b.o.Nodes()
	}
	b.o.Publish("$SYS/brokers", strings.Join(nodes, ","), true)
	b.say("version", b.o.Version, true)
	b.say("sysdescr", Description, true)
	for _, v := range b.o.Metrics.Stats() {
		b.say("stats/"+v.Name, strconv.FormatUint(v.Value, 10), false)
	}
	for _, v := range b.o.Metrics.Standard() {
		b.say("metrics/"+v.Name, strconv.FormatUint(v.Value, 10), false)
	}
}

func (b *broker) say(name, payload string, retain bool) {
	b.o.Publish("$SYS/brokers/"+b.o.Node+"/"+name, payload, retain)
}

// Uptime writes a duration as EMQ does: leading units that are zero are left
// out, plural always.
func Uptime(d time.Duration) string {
	s := int(d / time.Second)
	text := fmt.Sprintf("%d seconds", s%60)
	if s >= 60 {
		text = fmt.Sprintf("%d minutes, ", s/60%60) + text
	}
	if s >= 3600 {
		text = fmt.Sprintf("%d hours, ", s/3600%24) + text
	}
	if s >= 86400 {
		text = fmt.Sprintf("%d days,", s/86400) + text
	}
	return text
}
