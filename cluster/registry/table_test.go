package registry

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

func client(n int) *actor.PID { return actor.NewPID("node", fmt.Sprintf("connections/%d", n)) }

func session(n int) *actor.PID { return actor.NewPID("node", fmt.Sprintf("sessions/%d", n)) }

// desk is the table of a node without a cluster.
type desk struct{ *core }

func newDesk() *desk { return &desk{newCore(0, "", nil)} }

func (d *desk) said() (out []effect) {
	d.settled()
	out, d.effects = d.effects, nil
	return out
}

func (d *desk) claim(id string, by *actor.PID, now int64) []effect {
	d.onClaim(&Claim{ClientID: id, By: by}, now)
	return d.said()
}

func (d *desk) settle(id string, gen uint64, by, session *actor.PID, now int64) []effect {
	d.onCommit(&Commit{ClientID: id, Generation: gen, By: by, Session: session}, now)
	return d.said()
}

func (d *desk) abort(id string, gen uint64, by *actor.PID, gone bool, now int64) []effect {
	d.onAbort(&Abort{ClientID: id, Generation: gen, By: by, SessionGone: gone}, now)
	return d.said()
}

func (d *desk) release(id string, session *actor.PID) {
	d.onRelease(&Release{ClientID: id, Session: session}, 0)
}

// one is the only message of a step.
func one[T any](t *testing.T, out []effect, to *actor.PID) T {
	t.Helper()
	if len(out) != 1 || !out[0].to.Equal(to) {
		t.Fatalf("told %v, want one message to %v", out, to)
	}
	m, ok := out[0].msg.(T)
	if !ok {
		t.Fatalf("told a %T", out[0].msg)
	}
	return m
}

func none(t *testing.T, out []effect) {
	t.Helper()
	if len(out) != 0 {
		t.Fatalf("told %v", out)
	}
}

func TestAFreeClientIdentifierIsGrantedAtOnce(t *testing.T) {
	tb := newDesk()
	g := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	if g.Session != nil || g.ClientID != "c" || g.Generation == 0 {
		t.Errorf("granted %+v", g)
	}
	none(t, tb.settle("c", g.Generation, client(1), session(1), 0))
	g = one[*Granted](t, tb.claim("c", client(2), 0), client(2))
	if !session(1).Equal(g.Session) {
		t.Errorf("the grant names %v", g.Session)
	}
	if n := tb.size.Load(); n != 1 {
		t.Errorf("size is %d", n)
	}
}

func TestTheNewestOfTheWaitingClaimsWins(t *testing.T) {
	tb := newDesk()
	first := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	none(t, tb.claim("c", client(2), 0))
	one[*Superseded](t, tb.claim("c", client(3), 0), client(2))
	g := one[*Granted](t, tb.settle("c", first.Generation, client(1), session(1), 0), client(3))
	if g.Generation <= first.Generation || !session(1).Equal(g.Session) {
		t.Errorf("granted %+v after %+v", g, first)
	}
}

func TestAnAbortedClaimGoesToWhoWaits(t *testing.T) {
	tb := newDesk()
	g := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	none(t, tb.claim("c", client(2), 0))
	one[*Granted](t, tb.abort("c", g.Generation, client(1), false, 0), client(2))
}

func TestAWaitingClaimCanBeTakenBack(t *testing.T) {
	tb := newDesk()
	g := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	none(t, tb.claim("c", client(2), 0))
	none(t, tb.abort("c", 0, client(2), false, 0))
	none(t, tb.settle("c", g.Generation, client(1), session(1), 0))
	if len(tb.claims) != 0 {
		t.Error("a claim is left")
	}
}

func TestAClaimantThatEndsBeforeItsGrantArrivesGivesItBack(t *testing.T) {
	tb := newDesk()
	one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	none(t, tb.claim("c", client(2), 0))
	one[*Granted](t, tb.abort("c", 0, client(1), false, 0), client(2))
}

func TestASessionThatDoesNotAnswerIsForgotten(t *testing.T) {
	tb := newDesk()
	g := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	tb.settle("c", g.Generation, client(1), session(1), 0)
	g = one[*Granted](t, tb.claim("c", client(2), 0), client(2))
	none(t, tb.abort("c", g.Generation, client(2), true, 0))
	if g = one[*Granted](t, tb.claim("c", client(2), 0), client(2)); g.Session != nil {
		t.Errorf("the grant names %v", g.Session)
	}
}

func TestAnOverdueClaimLosesItsRightAndEverybodyIsTold(t *testing.T) {
	tb := newDesk()
	old := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	none(t, tb.claim("c", client(2), 1))
	out := tb.claim("c", client(3), lease)
	if len(out) != 2 {
		t.Fatalf("told %v", out)
	}
	one[*Superseded](t, out[:1], client(2))
	g := one[*Granted](t, out[1:], client(3))
	one[*Superseded](t, tb.settle("c", old.Generation, client(1), session(1), lease), client(1))
	none(t, tb.abort("c", old.Generation, client(1), true, lease))
	none(t, tb.settle("c", g.Generation, client(3), session(3), lease))
	if !session(3).Equal(tb.here["c"].pid) {
		t.Errorf("the session is %v", tb.here["c"].pid)
	}
}

func TestOnlyTheSessionThatIsMeantIsReleased(t *testing.T) {
	tb := newDesk()
	g := one[*Granted](t, tb.claim("c", client(1), 0), client(1))
	tb.settle("c", g.Generation, client(1), session(2), 0)
	tb.release("c", session(1))
	if !session(2).Equal(tb.here["c"].pid) {
		t.Error("an old session's end took the new one away")
	}
	tb.release("c", session(2))
	if len(tb.here) != 0 || tb.size.Load() != 0 {
		t.Error("the session is still there")
	}
}

// model is what the messages of a table mean for those who get them.
type model struct {
	tb      *desk
	holder  int        // claimant that was granted and has not given back; 0: none
	gen     uint64     // of that grant
	waiting int        // claimant that waits; 0: none
	session *actor.PID // that the identifier has
	lastGen uint64
	next    int
}

func (m *model) take(t *rapid.T, out []effect) {
	for _, o := range out {
		var n int
		if _, err := fmt.Sscanf(o.to.Id, "connections/%d", &n); err != nil {
			t.Fatalf("told %v", o.to)
		}
		switch msg := o.msg.(type) {
		case *Granted:
			if m.holder != 0 {
				t.Fatalf("%d holds the claim, and %d got it too", m.holder, n)
			}
			if msg.Generation <= m.lastGen {
				t.Fatalf("generation %d after %d", msg.Generation, m.lastGen)
			}
			if (msg.Session == nil) != (m.session == nil) || msg.Session != nil && !msg.Session.Equal(m.session) {
				t.Fatalf("granted %v, it is %v", msg.Session, m.session)
			}
			m.holder, m.gen, m.lastGen = n, msg.Generation, msg.Generation
		case *Superseded:
			if n != m.waiting {
				t.Fatalf("%d was superseded, but %d waited", n, m.waiting)
			}
		}
	}
}

// A claimant claims once and ends by one of commit and abort, in any order with
// others; sessions end whenever they like. There is one holder at most, the
// newest claim is served, and nobody is left waiting for ever.
func TestEveryClaimIsAnsweredAndOnlyOneHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{tb: newDesk()}
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				m.next++
				n := m.next
				hadHolder := m.holder != 0
				out := m.tb.claim("c", client(n), now)
				m.take(t, out)
				if hadHolder {
					m.waiting = n
				} else if m.holder != n {
					t.Fatalf("%d was not granted a free identifier", n)
				}
			},
			"commit": func(t *rapid.T) {
				if m.holder == 0 {
					t.Skip("nobody holds")
				}
				n, gen := m.holder, m.gen
				m.session, m.holder = session(n), 0
				m.passOn(t, m.tb.settle("c", gen, client(n), session(n), now))
			},
			"abort of the holder": func(t *rapid.T) {
				if m.holder == 0 {
					t.Skip("nobody holds")
				}
				n, gen := m.holder, m.gen
				if rapid.Bool().Draw(t, "grant still on its way") {
					gen = 0
				}
				gone := gen != 0 && rapid.Bool().Draw(t, "session gone")
				if gone {
					m.session = nil
				}
				m.holder = 0
				m.passOn(t, m.tb.abort("c", gen, client(n), gone, now))
			},
			"abort of the waiting": func(t *rapid.T) {
				if m.waiting == 0 {
					t.Skip("nobody waits")
				}
				m.take(t, m.tb.abort("c", 0, client(m.waiting), false, now))
				m.waiting = 0
			},
			"late abort of one that has ended": func(t *rapid.T) {
				if m.gen <= 1 {
					t.Skip("none has")
				}
				m.take(t, m.tb.abort("c", m.gen-1, client(1_000_000), true, now))
			},
			"late commit of one that has ended": func(t *rapid.T) {
				if m.gen <= 1 {
					t.Skip("none has")
				}
				out := m.tb.settle("c", m.gen-1, client(1_000_000), session(1_000_000), now)
				if _, ok := out[0].msg.(*Superseded); !ok || len(out) != 1 {
					t.Fatalf("told %v", out)
				}
			},
			"end of the session": func(t *rapid.T) {
				if m.session == nil {
					t.Skip("there is none")
				}
				m.tb.release("c", m.session)
				m.session = nil
			},
			"": func(t *rapid.T) {
				if got := m.tb.here["c"].pid; (got == nil) != (m.session == nil) || got != nil && !got.Equal(m.session) {
					t.Fatalf("the session is %v, want %v", got, m.session)
				}
				if (m.holder == 0) != (len(m.tb.claims) == 0) {
					t.Fatalf("holder %d, claims %v", m.holder, m.tb.claims)
				}
				if int(m.tb.size.Load()) != len(m.tb.here) {
					t.Fatalf("size %d of %d", m.tb.size.Load(), len(m.tb.here))
				}
			},
		})
	})
}

// passOn takes what is told when the holder has let go: the waiting one is next.
func (m *model) passOn(t *rapid.T, out []effect) {
	next := m.waiting
	m.waiting = 0
	m.take(t, out)
	if m.holder != next {
		t.Fatalf("%d waited, %d was granted", next, m.holder)
	}
}
