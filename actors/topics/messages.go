package topics

import (
	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Subscribe adds a subscription, or replaces the options of the one which the
// subscriber has for the same filter, group and locality. Send it with
// Router.Subscribe. Answered by Subscribed, after which every PUBLISH at this
// node finds the subscription.
type Subscribe struct {
	Subscriber        *Subscriber
	Subscription      topic.Subscription
	QoS               protocol.QoS // granted maximum
	NoLocal           bool         // not what this client publishes itself [MQTT-3.8.3-3]
	RetainAsPublished bool
	SubscriptionID    uint32 // MQTT 5 Subscription Identifier, below 2^28; 0 is none
	Token             uint64 // comes back in the answer
	ReplyTo           *actor.PID
}

// Subscribed answers Subscribe. New tells whether the subscription was not
// there before.
type Subscribed struct {
	Token uint64
	New   bool
}

// Unsubscribe takes a subscription away. Send it with Router.Unsubscribe.
// Answered by Unsubscribed.
type Unsubscribe struct {
	Subscriber   *Subscriber
	Subscription topic.Subscription
	Token        uint64
	ReplyTo      *actor.PID // nil: no answer
}

// Unsubscribed answers Unsubscribe. Existed tells whether the subscription was
// there.
type Unsubscribed struct {
	Token   uint64
	Existed bool
}

// Forget takes away all subscriptions of a subscriber by looking through the
// whole shard, a millisecond per hundred thousand filters. It is the last
// resort after a crash, when nobody knows what they were: see Router.Forget.
type Forget struct{ Subscriber *Subscriber }

// Touch says that the client of a member of a shared group has come or gone
// (Subscriber.SetOnline). Send it with Router.Touch.
type Touch struct {
	Subscriber   *Subscriber
	Subscription topic.Subscription
}

// more goes on with a Forget.
type more struct {
	subscriber *Subscriber
	from       uint32
}

// MailboxClass puts changes of subscriptions before application messages.
func (*Subscribe) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass puts changes of subscriptions before application messages.
func (*Subscribed) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass keeps the order with Subscribe.
func (*Unsubscribe) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass keeps the order with Subscribed.
func (*Unsubscribed) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass keeps the order with Subscribe.
func (*Touch) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass lets others have their turns.
func (*more) MailboxClass() kernel.Class { return kernel.Subscribe }

// MailboxClass keeps the order with Subscribe: what the subscriber sent before
// it crashed is handled first.
func (*Forget) MailboxClass() kernel.Class { return kernel.Subscribe }
