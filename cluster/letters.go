package cluster

import (
	"fmt"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/cluster/wire"
)

// letter is a message for an actor of another node.
type letter struct {
	To   string // id of the actor
	From string // id of the sender, "" for none
	Kind uint32
	Body []byte // as of the message's frame; nil for a dead letter's answer
}

// Serialize makes it a wire.Message.
func (l *letter) Serialize() (wire.Serialized, error) { return wire.Encode(wire.KindLetter, l) }

func init() { wire.Register(wire.KindLetter, func() any { return new(letter) }) }

// Root is what the id of every actor of a node's tree begins with.
const Root = "node/"

// FromPeer is implemented by messages that want to know, when they arrive, who
// sent them.
type FromPeer interface{ SetPeer(p Peer) }

// Post makes PIDs of other members work as if they were local: what is sent to
// one goes by the conversation with its node, if the message is a wire.Message;
// everything else, and what has nobody to carry it, becomes a dead letter. Actors
// whose id begins with one of the prefixes may be written to from outside; system
// messages (Stop, Watch) never leave or enter. Call it before the remoting of the
// system starts and before the net does.
func Post(system *actor.ActorSystem, n Net, prefixes ...string) {
	o := &office{system: system, net: n, prefixes: prefixes}
	system.ProcessRegistry.RegisterAddressResolver(o.resolve)
	n.Handle(wire.KindLetter, o.deliver)
}

type office struct {
	system   *actor.ActorSystem
	net      Net
	prefixes []string
}

// resolve answers for every actor of a node. What is left to the framework are the
// answers to command lines, which wait in futures. A PID keeps what it was resolved
// to, so that is the way to an address and not a conversation.
func (o *office) resolve(pid *actor.PID) (actor.Process, bool) {
	if strings.HasPrefix(pid.Id, Root) {
		return &mailbag{o, pid.Address}, true
	}
	return nil, false
}

// deliver hands a letter to the actor it is for.
func (o *office) deliver(p Peer, m wire.Message) {
	l, ok := m.(*letter)
	if !ok || !o.open(l.To) {
		o.system.Logger().Warn("a member wrote to an actor that is not its business", "node", p.Member().Name, "letter", fmt.Sprintf("%.80v", m))
		return
	}
	to := o.system.NewLocalPID(l.To)
	if l.Body == nil {
		o.system.Root.Send(to, &actor.DeadLetterResponse{Target: actor.NewPID(p.Member().Address, l.From)})
		return
	}
	msg := wire.Decode(l.Kind, l.Body)
	if f, ok := msg.(FromPeer); ok {
		f.SetPeer(p)
	}
	if l.From == "" {
		o.system.Root.Send(to, msg)
		return
	}
	o.system.Root.RequestWithCustomSender(to, msg, actor.NewPID(p.Member().Address, l.From))
}

func (o *office) open(id string) bool {
	for _, p := range o.prefixes {
		if strings.HasPrefix(id, p) {
			return true
		}
	}
	return false
}

// mailbag is the process behind the PIDs of one address.
type mailbag struct {
	office  *office
	address string
}

// SendUserMessage implements actor.Process.
func (b *mailbag) SendUserMessage(pid *actor.PID, envelope any) {
	peer := b.office.net.PeerAt(b.address)
	if peer == nil {
		b.office.system.DeadLetter.SendUserMessage(pid, envelope)
		return
	}
	_, msg, sender := actor.UnwrapEnvelope(envelope)
	l := &letter{To: pid.Id}
	if sender != nil {
		l.From = sender.Id
	}
	switch m := msg.(type) {
	case *actor.DeadLetterResponse:
		l.From = m.Target.GetId()
	case wire.Message:
		frame, err := m.Serialize()
		if err != nil {
			b.office.system.Logger().Error("a message cannot be sent to another node", "message", fmt.Sprintf("%T", m), "error", err)
			return
		}
		l.Kind, l.Body = wire.Open(frame)
	default:
		b.office.system.DeadLetter.SendUserMessage(pid, envelope)
		return
	}
	peer.Send(l)
}

// SendSystemMessage implements actor.Process: what a supervisor says stays at home.
func (b *mailbag) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process: nobody stops an actor of another node.
func (b *mailbag) Stop(*actor.PID) {}
