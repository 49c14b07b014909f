package sessions

import (
	"testing"

	"emqttd/actors/store"
	"emqttd/protocol/delivery"
)

// The store knows one phase: after PUBREC the message is not needed any more.
func TestTheStoreKnowsWhatAFlightNeedsNoMessageFor(t *testing.T) {
	if uint8(delivery.AwaitPubcomp) != store.PhaseSpent {
		t.Errorf("delivery writes %d, the store reads %d", delivery.AwaitPubcomp, store.PhaseSpent)
	}
}
