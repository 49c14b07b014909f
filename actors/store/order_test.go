package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestAPublishersReceiptsAreCommittedInTheirOrder(t *testing.T) {
	d := start(t, options(vfs.NewMem()))
	defer d.stop(t)
	first, second := d.Begin(), d.Begin()
	first.Before(second)
	var order []int
	safe := make(chan error, 2)
	for i, r := range []*Receipt{first, second} {
		r.Enter(1, &Item{Seq: uint64(i), Message: message(i), QoS: 1})
		r.After(func(err error) {
			order = append(order, i)
			safe <- err
		})
	}
	second.Part() // all that it needs is there, but what came before is missing
	if second.Settled() {
		t.Error("the later receipt does not wait")
	}
	first.Part()
	for range 2 {
		if err := await(t, safe); err != nil {
			t.Error(err)
		}
	}
	if order[0] != 0 || order[1] != 1 {
		t.Errorf("committed in the order %v", order)
	}
	third := d.Begin()
	second.Before(third) // which is there already
	third.After(func(err error) { safe <- err })
	third.Part()
	if err := await(t, safe); err != nil {
		t.Error(err)
	}
}
