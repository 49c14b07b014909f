package connections

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/kernel"
	"emqttd/actors/system/metrics"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

func TestASecondConnectOfOneClientIdentifierTakesOver(t *testing.T) {
	inRig(t, func(r *rig) {
		old := r.join(hello("c", false), false)
		r.join(hello("c", false), true)
		old.expectClosed()
		if ends := r.ends(); !slices.Equal(ends, []string{"conflict"}) {
			t.Errorf("the reasons are %v", ends)
		}
	})
}

// A session that ends with its connection is often still ending when the client
// is back.
func TestAClientThatReconnectsAtOnceNeverWaits(t *testing.T) {
	for _, clean := range []bool{false, true} {
		t.Run(fmt.Sprintf("clean session %t", clean), func(t *testing.T) {
			inRig(t, func(r *rig) {
				start := time.Now()
				r.join(hello("c", true), false)
				for i := range 200 {
					p := r.dial()
					p.send(mqtt.V311, hello("c", clean))
					want := &mqtt.Connack{SessionPresent: !clean && i > 0}
					p.expect(mqtt.V311, want)
					p.send(mqtt.V311, &mqtt.Disconnect{})
				}
				if d := time.Since(start); d > time.Second {
					t.Errorf("200 reconnects took %v", d)
				}
			})
		})
	}
}

func TestManyConnectsOfOneClientIdentifierAtOnceLeaveOne(t *testing.T) {
	for _, clean := range []bool{false, true} {
		t.Run(fmt.Sprintf("clean session %t", clean), func(t *testing.T) {
			inRig(t, func(r *rig) {
				const n = 50
				peers := make([]*peer, n)
				start := time.Now()
				var wg sync.WaitGroup
				for i := range peers {
					peers[i] = r.dial()
					wg.Go(func() { _, _ = peers[i].conn.Write(hello("c", clean).Append(nil, mqtt.V311)) })
				}
				wg.Wait()
				open := 0
				for _, p := range peers {
					if _, over := p.take(); !over {
						open++
					}
				}
				if open != 1 {
					t.Errorf("%d connections of one client are open", open)
				}
				if d := time.Since(start); d > time.Second {
					t.Errorf("it took %v", d)
				}
				if n := r.rt.Metrics.Level(metrics.Sessions); n != 1 {
					t.Errorf("there are %d sessions", n)
				}
				if n := r.rt.Sessions.Registry.Len(); n != 1 {
					t.Errorf("the registry has %d sessions", n)
				}
			})
		})
	}
}

func TestASilentClientIsClosedAfterOneAndAHalfKeepAlives(t *testing.T) {
	inRig(t, func(r *rig) {
		p := r.join(hello("c", true), false) // 60 s
		time.Sleep(80 * time.Second)
		p.write(mqtt.AppendPingreq(nil))
		time.Sleep(89 * time.Second)
		if _, over := p.take(); over {
			t.Fatal("closed too early")
		}
		time.Sleep(3 * time.Second)
		p.expectClosed()
		if ends := r.ends(); !slices.Equal(ends, []string{"keepalive_timeout"}) {
			t.Errorf("the reasons are %v", ends)
		}
	})
}

func TestAClientWithoutKeepAliveMayBeSilent(t *testing.T) {
	inRig(t, func(r *rig) {
		c := hello("c", true)
		c.KeepAlive = 0
		p := r.join(c, false)
		time.Sleep(24 * time.Hour)
		if _, over := p.take(); over {
			t.Error("closed")
		}
	})
}

func TestAClientThatDoesNotReadIsClosedAfterTheSendTimeout(t *testing.T) {
	inRig(t, func(r *rig) {
		p := r.join(hello("publisher", true), false)
		// The pipe has no buffer: a client that does not read blocks the first write.
		slow := &peer{t: t}
		client, server := net.Pipe()
		slow.conn = client
		go r.rt.Handshake(server, r.l)
		slow.write(hello("slow", true).Append(nil, mqtt.V311))
		p.write(mqtt.AppendPingreq(nil))
		time.Sleep(16 * time.Second)
		if ends := r.ends(); !slices.Equal(ends, []string{"timeout"}) {
			t.Errorf("the reasons are %v", ends)
		}
		_ = client.Close()
	})
}

func TestAKilledConnectionClosesItsSocketAndLeavesItsSession(t *testing.T) {
	inRig(t, func(r *rig) {
		p := r.join(hello("c", false), false)
		r.kill(r.rt.Shards)
		p.expectClosed()
		if ends := r.ends(); !slices.Equal(ends, []string{"killed"}) {
			t.Errorf("the reasons are %v", ends)
		}
		r.join(hello("c", false), true)
	})
}

func TestAKilledSessionClosesItsConnectionAndTheClientCanComeBack(t *testing.T) {
	inRig(t, func(r *rig) {
		p := r.join(hello("c", false), false)
		r.kill(r.rt.SessionShards)
		p.expectClosed()
		if ends := r.ends(); !slices.Equal(ends, []string{"session_down"}) {
			t.Errorf("the reasons are %v", ends)
		}
		start := time.Now()
		r.join(hello("c", false), false)
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %v", d)
		}
		if n := r.rt.Sessions.Registry.Len(); n != 1 {
			t.Errorf("the registry has %d sessions", n)
		}
	})
}

// names are the ids of all actors.
func (r *rig) names() (ids []string) {
	for _, m := range r.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		ids = append(ids, m.Keys()...)
	}
	return ids
}

// kill kills all children of the shards, by their ids.
func (r *rig) kill(shards *kernel.Shards) {
	r.t.Helper()
	n := 0
	for i := range shards.Len() {
		prefix := shards.At(i).Id + "/"
		for _, pid := range r.names() {
			if strings.HasPrefix(pid, prefix) {
				r.system.Root.Send(r.system.NewLocalPID(pid), &kernel.Kill{})
				n++
			}
		}
	}
	if n == 0 {
		r.t.Fatal("there was nobody to kill")
	}
}

func TestAKillAtEachPhaseOfJoiningLeavesNothingBehind(t *testing.T) {
	for _, which := range []string{"connections", "sessions", "registry"} {
		t.Run(which, func(t *testing.T) {
			inRig(t, func(r *rig) {
				for i := range 200 {
					p := r.dial()
					done := make(chan struct{})
					go func() {
						defer close(done)
						_, _ = p.conn.Write(hello("c", i%3 == 0).Append(nil, mqtt.V311))
					}()
					for range i % 20 { // a different moment each time
						r.rt.Metrics.Level(metrics.Clients)
					}
					for _, pid := range r.names() {
						if strings.HasPrefix(pid, "node/"+which+"/") && (which == "registry" || strings.Count(pid, "/") == 3) {
							r.system.Root.Send(r.system.NewLocalPID(pid), &kernel.Kill{})
						}
					}
					<-done
				}
				synctest.Wait() // the last of them may claim after its CONNECT was read
				start := time.Now()
				p := r.dial()
				p.send(mqtt.V311, hello("c", true))
				p.expect(mqtt.V311, welcome)
				if d := time.Since(start); d > time.Second {
					t.Errorf("the next client waited %v", d)
				}
				p.send(mqtt.V311, &mqtt.Disconnect{})
				p.expectClosed()
				if n := r.rt.Metrics.Level(metrics.Sessions); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
				if n := r.rt.Sessions.Registry.Len(); n != 0 {
					t.Errorf("the registry has %d sessions", n)
				}
			})
		})
	}
}

func TestPublishedMessagesReachTheSubscriberInOrder(t *testing.T) {
	inRig(t, func(r *rig) {
		sub := r.join(hello("sub", true), false)
		sub.send(mqtt.V311, &mqtt.Subscribe{ID: 1, Subscriptions: []mqtt.Subscription{{Filter: "x", QoS: 1}}})
		sub.expect(mqtt.V311, &mqtt.Suback{ID: 1, Codes: []protocol.ReasonCode{1}})
		pub := r.join(hello("pub", true), false)
		var out, want, acks []appender
		for i := range 100 {
			p := &mqtt.Publish{Topic: "x", Payload: []byte(fmt.Sprint(i)), QoS: protocol.QoS(i % 2)}
			q := &mqtt.Publish{Topic: "x", Payload: p.Payload, QoS: p.QoS}
			if p.QoS == 1 {
				p.PacketID, q.PacketID = protocol.PacketID(500+i), protocol.PacketID((i+1)/2)
				acks = append(acks, &mqtt.Ack{Type: mqtt.PUBACK, ID: p.PacketID})
			}
			out, want = append(out, p), append(want, q)
		}
		pub.send(mqtt.V311, out...)
		sub.expect(mqtt.V311, want...)
		pub.expect(mqtt.V311, acks...)
	})
}
