package topics

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
)

func TestARowKeepsItsFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &Subscribe{
			SubscriptionID:    rapid.Uint32Range(0, maxSubscriptionID).Draw(t, "id"),
			NoLocal:           rapid.Bool().Draw(t, "nl"),
			RetainAsPublished: rapid.Bool().Draw(t, "rap"),
		}
		m.QoS = rapid.SampledFrom([]protocol.QoS{0, 1, 2}).Draw(t, "qos")
		m.Subscription.Local = rapid.Bool().Draw(t, "local")
		n := rapid.Uint32Range(1, 1<<31-1).Draw(t, "subscriber")
		r := newRow(n, m)
		if r.subscriber() != n || r.subscriptionID() != m.SubscriptionID || r.qos() != m.QoS ||
			r.noLocal() != m.NoLocal || r.retainAsPublished() != m.RetainAsPublished ||
			r.local() != m.Subscription.Local || r.key() != keyOf(n, m.Subscription.Local) || isSet(uint64(r)) {
			t.Fatalf("%x from %d, %+v", r, n, m)
		}
	})
}

func TestRowsAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s rows
		model := map[rowKey]row{}
		key := rapid.Uint32Range(1, 100)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r := row(key.Draw(t, "key"))<<32 | row(rapid.Uint32Range(1, 9).Draw(t, "value"))<<4
				_, had := model[r.key()]
				if s.put(r) == had {
					t.Fatalf("put of %x: had %v", r, had)
				}
				model[r.key()] = r
			},
			"remove": func(t *rapid.T) {
				k := rowKey(key.Draw(t, "key"))
				_, had := model[k]
				if s.remove(k) != had {
					t.Fatalf("remove of %x: had %v", k, had)
				}
				delete(model, k)
			},
			"": func(t *rapid.T) {
				var got, want []row
				all := s.all()
				for i := range all {
					if r := row(all[i].Load()); r != 0 {
						got = append(got, r)
					}
				}
				for _, r := range model {
					want = append(want, r)
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) || s.live != len(want) {
					t.Fatalf("got %x (%d live), want %x", got, s.live, want)
				}
				if blanks := len(all) - len(got); blanks*blankShare > len(got)+blankShare {
					t.Fatalf("%d blanks among %d rows", blanks, len(got))
				}
			},
		})
	})
}
