package sessions

import (
	"emqttd/actors/system/ledger"
	"emqttd/actors/system/trace"
	"emqttd/protocol/delivery"
)

// A session keeps its part of the ledger: owed is what the ledger has as pending
// with it. Messages from the mailbox are pending already; others are accepted
// here.

// accept takes n messages over that the ledger does not know of: retained ones,
// and what was found in the store.
func (s *session) accept(n int) {
	s.rt.Metrics.Ledger.AcceptAny(n)
	s.owed += int32(n)
}

// account enters how messages of this turn have ended.
func (s *session) account(out *delivery.Out) {
	m := s.rt.Metrics
	if n := out.Delivered; n > 0 {
		m.Ledger.End(ledger.Delivered, n)
		s.owed -= int32(n)
	}
	if n := out.Refused; n > 0 {
		m.Drop(ledger.ClientRefused, uint64(n))
		s.owed -= int32(n)
	}
	for r, n := range out.Dropped {
		if n > 0 {
			m.Drop(delivery.Reason(r).String(), uint64(n))
			s.owed -= int32(n)
		}
	}
	if len(out.Lost) > 0 {
		s.note(out)
	}
	if len(out.Steps) > 0 {
		now := unixMilli()
		for _, x := range out.Steps {
			s.rt.Trace.Note(x.Tag, trace.Step{At: now, ClientID: s.id, What: x.What, Last: x.Last})
		}
	}
}

// note remembers what was dropped, for who asks why.
func (s *session) note(out *delivery.Out) {
	now := unixMilli()
	for _, x := range out.Lost {
		if !s.rt.Metrics.Recent.Wants(now) {
			return
		}
		s.rt.Metrics.Recent.Note(ledger.Drop{
			At: now, Reason: x.Reason.String(), ClientID: s.id, Topic: string(x.Message.Topic), From: x.Message.From,
		})
	}
}

// balance compares what is owed with what queue and window hold. They differ only
// if a message has vanished or become two, which is to be seen, not hidden.
func (s *session) balance() {
	if d := s.state.Pending() - int(s.owed); d != 0 {
		s.rt.Metrics.Ledger.Correct(d)
		s.owed += int32(d)
		s.rt.Log.Error("messages of a session are unaccounted for", "client_id", s.id, "count", -d)
	}
}

// handOver ends what is owed because the store has it, for the session that will
// be restored from there.
func (s *session) handOver() {
	if s.out != nil && !s.busy {
		s.account(s.out)
	}
	s.rt.Metrics.Ledger.End(ledger.Forwarded, int(s.owed))
	s.owed = 0
}
