package registry

import (
	"emqttd/cluster"
	"emqttd/cluster/wire"
)

// What slots of one number say to each other. It goes by the conversation between
// the nodes and not by PIDs: a PID names an address, and what was meant for a
// conversation must not be heard in the next one.
const (
	kindClaim = wire.KindRegistry + iota
	kindGrant
	kindSupersede
	kindCommit
	kindAbort
	kindRelease
	kindGather
	kindSessions
	kindOutlived
	kindWhere
	kindFound
	kindLeave
	kindAgain
)

// letter is one of them.
type letter interface {
	wire.Message
	header() *head
}

// head is what they all have: the number of the slot, and where they came from.
type head struct {
	Slot uint8
	peer cluster.Peer
}

func (h *head) header() *head { return h }

// claimLetter enters a claim of the sender's front, or says it again. Generation
// is not 0 if it has been granted.
type claimLetter struct {
	head
	ClientID   string
	Token      cluster.Stamp
	Stored     bool
	Generation uint64
	Again      bool   // it is not said for the first time
	Origin     string // the node whose it is, if not the sender's
	// Known says that another owner decides about it, and that the receiver, which
	// has gathered, only has to know.
	Known bool
}

// grantLetter answers it.
type grantLetter struct {
	head
	ClientID   string
	Token      cluster.Stamp
	Generation uint64
	Address    string // of the session; both are empty if there is none
	Session    string
}

// supersedeLetter answers it, too.
type supersedeLetter struct {
	head
	ClientID string
	Token    cluster.Stamp
}

// commitLetter ends a claim, if Token is not 0. The session is on the sender's node;
// Session is empty if the claim was passed on for another.
type commitLetter struct {
	head
	ClientID   string
	Token      cluster.Stamp
	Generation uint64
	Session    string
	Rank       uint64
}

// abortLetter gives a claim back.
type abortLetter struct {
	head
	ClientID   string
	Token      cluster.Stamp
	Generation uint64
	Address    string // of the granted session if it does not answer
	Session    string
}

// releaseLetter says that a session of the sender has ended.
type releaseLetter struct {
	head
	ClientID string
	Session  string
}

// gatherLetter asks for the sessions of a slot, and to be told of each change from
// now on; with number 0 no longer.
type gatherLetter struct {
	head
	Number cluster.Stamp
}

// sessionsLetter is a part of the answer. What the sender has said before the first
// part is void; its claims come behind that one, and then its sessions.
type sessionsLetter struct {
	head
	Number      cluster.Stamp
	First, Last bool
	ClientIDs   []string
	Sessions    []string
	Ranks       []uint64
}

// outlivedLetter is for a session on the receiver's node.
type outlivedLetter struct {
	head
	ClientID   string
	Session    string
	Generation uint64
	Address    string // of the winner
	Winner     string
}

// whereLetter asks for the session of an identifier.
type whereLetter struct {
	head
	ClientID string
	Token    cluster.Stamp
}

// foundLetter answers it.
type foundLetter struct {
	head
	ClientID string
	Token    cluster.Stamp
	Address  string
	Session  string
}

// leaveLetter takes all claims of the sender back: it has found another owner.
type leaveLetter struct{ head }

// againLetter says that the sender has begun anew and may have lost what was said
// to it last.
type againLetter struct{ head }

// Serialize makes them wire.Messages.
func (m *claimLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindClaim, m) }

// Serialize implements wire.Message.
func (m *grantLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindGrant, m) }

// Serialize implements wire.Message.
func (m *supersedeLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindSupersede, m) }

// Serialize implements wire.Message.
func (m *commitLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindCommit, m) }

// Serialize implements wire.Message.
func (m *abortLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindAbort, m) }

// Serialize implements wire.Message.
func (m *releaseLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindRelease, m) }

// Serialize implements wire.Message.
func (m *gatherLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindGather, m) }

// Serialize implements wire.Message.
func (m *sessionsLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindSessions, m) }

// Serialize implements wire.Message.
func (m *outlivedLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindOutlived, m) }

// Serialize implements wire.Message.
func (m *whereLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindWhere, m) }

// Serialize implements wire.Message.
func (m *foundLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindFound, m) }

// Serialize implements wire.Message.
func (m *leaveLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindLeave, m) }

// Serialize implements wire.Message.
func (m *againLetter) Serialize() (wire.Serialized, error) { return wire.Encode(kindAgain, m) }

// letters are the kinds and how to make an empty one.
var letters = map[uint32]func() any{
	kindClaim:     func() any { return new(claimLetter) },
	kindGrant:     func() any { return new(grantLetter) },
	kindSupersede: func() any { return new(supersedeLetter) },
	kindCommit:    func() any { return new(commitLetter) },
	kindAbort:     func() any { return new(abortLetter) },
	kindRelease:   func() any { return new(releaseLetter) },
	kindGather:    func() any { return new(gatherLetter) },
	kindSessions:  func() any { return new(sessionsLetter) },
	kindOutlived:  func() any { return new(outlivedLetter) },
	kindWhere:     func() any { return new(whereLetter) },
	kindFound:     func() any { return new(foundLetter) },
	kindLeave:     func() any { return new(leaveLetter) },
	kindAgain:     func() any { return new(againLetter) },
}

func init() {
	for kind, create := range letters {
		wire.Register(kind, create)
	}
}
