package link

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"emqttd/actors/kernel"
	"emqttd/cluster/clustertest"
)

// within asserts that something comes about between two times from now.
func within(t *testing.T, what string, least, most time.Duration, ok func() bool) {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > most {
			t.Fatalf("%s did not come about in %v", what, most)
		}
		settle(10 * time.Millisecond)
	}
	if took := time.Since(begin); took < least {
		t.Errorf("%s came about after %v, want at least %v", what, took, least)
	}
}

func sees(r *rig, want string) func() bool { return func() bool { return show(r.View()) == want } }

func both(a, b func() bool) func() bool { return func() bool { return a() && b() } }

func TestSilentNodeIsSuspectAfterThreeSecondsAndDownAfterEight(t *testing.T) {
	for name, cut := range map[string]func(*clustertest.Network){
		"both directions": func(n *clustertest.Network) { n.Cut("a:1", "b:1"); n.Cut("b:1", "a:1") },
		"one direction":   func(n *clustertest.Network) { n.Cut("a:1", "b:1") },
		"the other one":   func(n *clustertest.Network) { n.Cut("b:1", "a:1") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				a, b := pair(t, network)
				defer a.stop()
				defer b.stop()
				cut(network)
				begin := time.Now()
				within(t, "suspicion", 2*time.Second, 4*time.Second, both(sees(a, "a b?"), sees(b, "a? b")))
				within(t, "down", 0, time.Until(begin.Add(9500*time.Millisecond)), both(sees(a, "a"), sees(b, "b")))
				if time.Since(begin) < 7*time.Second {
					t.Errorf("down after %v", time.Since(begin))
				}
				network.Heal("a:1", "b:1")
				network.Heal("b:1", "a:1")
				within(t, "the return", 0, 10*time.Second, both(sees(a, "a b"), sees(b, "a b")))
				if begun, ended := a.conversations(); len(begun) != 2 || len(ended) != 1 || begun[0] != ended[0] || begun[1] == begun[0] {
					t.Errorf("a began %d conversations and ended %d", len(begun), len(ended))
				}
			})
		})
	}
}

// stream sends numbers on both lanes of both nodes until stopped.
func chatter(a, b *rig, gap time.Duration) (stop func() int) {
	quit, idle := make(chan struct{}), make(chan int)
	pa, pb := a.peer(b.Self().Name), b.peer(a.Self().Name)
	go func() {
		n := 0
		for {
			select {
			case <-quit:
				idle <- n
				return
			default:
			}
			for _, p := range []*Peer{pa, pb} {
				p.Send(&note{n})
				p.SendData(kindNote, fmt.Append(nil, n), nil)
			}
			n++
			time.Sleep(gap)
		}
	}()
	return func() int { close(quit); return <-idle }
}

func (r *rig) expectAll(n int) {
	r.t.Helper()
	notes, data := r.got()
	if len(notes) != n || len(data) != n {
		r.t.Fatalf("%s got %d notes and %d of data, want %d", r.Self().Name, len(notes), len(data), n)
	}
	for i := range n {
		if notes[i] != i || data[i] != fmt.Sprint(i) {
			r.t.Fatalf("%s got %d and %s in place of %d", r.Self().Name, notes[i], data[i], i)
		}
	}
}

func TestConversationOutlivesItsStreamsAndLosesAndDoublesNothing(t *testing.T) {
	for name, disturb := range map[string]func(*clustertest.Network){
		"a stall of five seconds": func(n *clustertest.Network) {
			n.Cut("a:1", "b:1")
			n.Cut("b:1", "a:1")
			settle(5 * time.Second)
			n.Heal("a:1", "b:1")
			n.Heal("b:1", "a:1")
		},
		"broken streams": func(n *clustertest.Network) {
			for range 20 {
				n.Break("a:1", "b:1")
				settle(777 * time.Millisecond)
			}
		},
		"broken in a stall": func(n *clustertest.Network) {
			n.Cut("a:1", "b:1")
			settle(time.Second)
			n.Break("a:1", "b:1")
			settle(3 * time.Second)
			n.Heal("a:1", "b:1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				network.Delay = func(string, string) time.Duration { return 8 * time.Millisecond }
				a, b := pair(t, network)
				defer a.stop()
				defer b.stop()
				stop := chatter(a, b, 5*time.Millisecond)
				settle(time.Second)
				disturb(network)
				settle(4 * time.Second)
				n := stop()
				settle(time.Second)
				a.expectAll(n)
				b.expectAll(n)
				if a.endings()+b.endings() != 0 {
					t.Error("the conversation has ended")
				}
				if strings.HasPrefix(name, "broken") && a.Stats().Resent+b.Stats().Resent == 0 {
					t.Error("nothing was in flight: this test tests nothing")
				}
			})
		})
	}
}

func TestKilledNodeIsDownWithinASecond(t *testing.T) {
	for _, victim := range []string{"a", "b"} {
		t.Run(victim, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				a, b := pair(t, network)
				nodes := map[string]*rig{"a": a, "b": b}
				dead := nodes[victim]
				delete(nodes, victim)
				dead.host.Kill()
				for name, r := range nodes {
					within(t, "down", 0, time.Second, sees(r, name))
					defer r.stop()
				}
				dead.stop()
			})
		})
	}
}

func TestStoppedNodeIsDownAtOnceAndComesBackAnew(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := pair(t, network)
		defer a.stop()
		b.stop()
		settle(time.Millisecond)
		a.expectView("a")
		settle(time.Minute)
		b = newRig(t, network, "b", nil).start()
		defer b.stop()
		within(t, "the return", 0, 13*time.Second, both(sees(a, "a b"), sees(b, "a b")))
	})
}

func TestNewIncarnationEndsTheOldConversationAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, old := pair(t, network)
		defer a.stop()
		var lost error
		network.Cut("a:1", "b:1") // so that a does not see the end of the old process
		network.Cut("b:1", "a:1")
		a.peer("b").SendData(kindNote, []byte("lost"), func(err error) { lost = err })
		old.kill()
		network.Heal("a:1", "b:1")
		network.Heal("b:1", "a:1")
		b := newRig(t, network, "b", nil).start()
		defer b.stop()
		b.Join("a:1")
		within(t, "the new conversation", 0, 2*time.Second, func() bool {
			m, _ := a.View().Member("b")
			return a.endings() == 1 && m.Incarnation == b.Self().Incarnation
		})
		if !errors.Is(lost, ErrEnded) {
			t.Errorf("what was sent to the old process ended with %v", lost)
		}
		if _, data := b.got(); len(data) != 0 {
			t.Errorf("the new process got %v, which was for the old one", data)
		}
	})
}

func TestSecondNodeWithALiveNodesNameIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := pair(t, network)
		defer a.stop()
		defer b.stop()
		thief := newRig(t, network, "thief", func(o *Options) { o.Self.Name = "b" }).start()
		defer thief.stop()
		thief.Join("a:1")
		thief.Join("b:1")
		settle(20 * time.Second)
		a.expectView("a b")
		b.expectView("a b")
		if m, _ := a.View().Member("b"); m.Address != "b:1" || a.endings() != 0 {
			t.Errorf("the name has gone to %s", m.Address)
		}
		thief.expectView("b")
		if thief.Stats().Refused["name"] == 0 || b.Stats().Refused["name"] == 0 {
			t.Errorf("refused: thief %v, b %v", thief.Stats().Refused, b.Stats().Refused)
		}
	})
}

func TestStrangersAreRefusedOnBothSides(t *testing.T) {
	for reason, edit := range map[string]func(*Options){
		"cookie":  func(o *Options) { o.Cookie = "guess" },
		"cluster": func(o *Options) { o.Cluster = "another" },
		"self":    nil,
	} {
		for _, name := range []string{"1", "z"} { // the smaller and the larger name
			t.Run(reason+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, network *clustertest.Network) {
					b := newRig(t, network, "b", nil).start()
					defer b.stop()
					if edit == nil {
						network.Host("alias:1").Listen(b.Accept)
						b.Join("alias:1")
						settle(10 * time.Second)
						if n := b.Stats().Refused["self"]; n != 2 { // as dialler and as acceptor, once
							t.Errorf("it met itself %d times", n)
						}
						return
					}
					stranger := newRig(t, network, name, edit).start()
					defer stranger.stop()
					stranger.Join("b:1")
					settle(10 * time.Second)
					b.expectView("b")
					stranger.expectView(name)
					if b.Stats().Refused[reason] == 0 || stranger.Stats().Refused[reason] == 0 {
						t.Errorf("b counts %v, the stranger %v", b.Stats().Refused, stranger.Stats().Refused)
					}
				})
			})
		}
	}
}

func TestNodesTellEachOtherWhomTheyKnow(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		var all []*rig
		for _, name := range []string{"d", "a", "c", "b"} {
			r := newRig(t, network, name, nil).start()
			defer r.stop()
			if len(all) > 0 {
				r.Join("d:1")
			}
			all = append(all, r)
		}
		settle(5 * time.Second)
		for _, r := range all {
			r.expectView("a b c d")
			r.mu.Lock()
			last := r.views[len(r.views)-1]
			r.mu.Unlock()
			if last != "a b c d" {
				t.Errorf("%s was last told of %q", r.Self().Name, last)
			}
		}
	})
}

func TestNodeLeavesUntilItJoinsAgain(t *testing.T) {
	for _, how := range []string{"leaves", "is made to leave"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				a, b := pair(t, network)
				defer a.stop()
				defer b.stop()
				if how == "leaves" {
					b.Leave()
				} else {
					a.ForceLeave("b")
				}
				settle(time.Millisecond)
				a.expectView("a")
				b.expectView("b")
				a.Join("b:1")
				settle(time.Minute)
				a.expectView("a")
				b.Join("a:1")
				within(t, "the return", 0, 10*time.Second, both(sees(a, "a b"), sees(b, "a b")))
			})
		})
	}
}

func TestBlockedHandlerStopsTheDataLaneAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := pair(t, network)
		defer a.stop()
		defer b.stop()
		b.hold()
		body := make([]byte, 64<<10)
		const sent = 400 // 25 MB
		acknowledged := 0
		for range sent {
			a.peer("b").SendData(kindNote, body, func(err error) {
				if err != nil {
					t.Error(err)
				}
				acknowledged++
			})
		}
		settle(time.Minute)
		a.expectView("a b")
		b.expectView("a b")
		p := b.peer("a")
		p.mu.Lock()
		kept := p.inboxed
		p.mu.Unlock()
		if kept > creditBytes+len(body) || kept < creditBytes/2 {
			t.Errorf("the receiver keeps %d bytes with a credit of %d", kept, creditBytes)
		}
		a.peer("b").Send(&note{1})
		settle(time.Millisecond)
		if notes, data := b.got(); len(notes) != 1 || len(data) != 0 || acknowledged != 0 {
			t.Errorf("%d notes, %d of data, %d acknowledged", len(notes), len(data), acknowledged)
		}
		close(b.block)
		settle(time.Second)
		if _, data := b.got(); len(data) != sent || acknowledged != sent {
			t.Errorf("%d of data, %d acknowledged, want %d", len(data), acknowledged, sent)
		}
	})
}

func TestViewDoesNotWaitForABlockedHandlerButTheEndDoes(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := pair(t, network)
		defer b.stop()
		b.hold()
		a.peer("b").SendData(kindNote, []byte("x"), nil)
		settle(time.Millisecond)
		a.stop()
		within(t, "down", time.Second, 2*time.Second, sees(b, "b"))
		if b.endings() != 0 {
			t.Error("the end came before the handler returned")
		}
		close(b.block)
		settle(time.Millisecond)
		if b.endings() != 1 {
			t.Error("the end did not come")
		}
	})
}

func TestNodeIsUpWhenTheServicesOfBothSidesAreReady(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := newRig(t, network, "a", nil), newRig(t, network, "b", nil)
		b.late = true
		a.start()
		b.start()
		defer a.stop()
		defer b.stop()
		a.Join("b:1")
		settle(time.Minute)
		a.expectView("a")
		b.expectView("b")
		if a.PeerAt("b:1") == nil || a.Peers() != nil && len(a.Peers()) != 0 {
			t.Errorf("the conversation is %v, the peers %v", a.PeerAt("b:1"), a.Peers())
		}
		b.mu.Lock()
		now := b.ready[0]
		b.mu.Unlock()
		now()
		now() // twice does not count twice
		settle(time.Millisecond)
		a.expectView("a b")
		b.expectView("a b")
	})
}

func TestCrashOfAnActorCostsAtMostTheConversation(t *testing.T) {
	for _, id := range []string{"node/cluster/link/b", "node/cluster/members"} {
		t.Run(id, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *clustertest.Network) {
				a, b := pair(t, network)
				defer a.stop()
				defer b.stop()
				if err := kernel.KillByID(a.system, id); err != nil {
					t.Fatal(err)
				}
				settle(5 * time.Second)
				a.expectView("a b")
				b.expectView("a b")
				if want := map[bool]int{true: 1, false: 0}[strings.HasSuffix(id, "/b")]; a.endings() != want {
					t.Errorf("%d conversations ended, want %d", a.endings(), want)
				}
			})
		})
	}
}

func TestPeerThatLetsTooMuchComeTogetherIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, network *clustertest.Network) {
		a, b := pair(t, network)
		defer a.stop()
		defer b.stop()
		network.Cut("a:1", "b:1")
		p := a.peer("b")
		p.mu.Lock()
		p.out[0].bytes = maxControl // as if so much waited
		p.mu.Unlock()
		p.Send(&note{1})
		settle(time.Second)
		a.expectView("a")
		synctest.Wait()
	})
}
