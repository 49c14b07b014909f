package topics

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// TestRouterAgreesWithAListOfSubscriptions compares the deliveries of random
// subscriptions with those of a list that is searched with topic.Match.
func TestRouterAgreesWithAListOfSubscriptions(t *testing.T) {
	filters := []string{"a", "a/b", "a/+", "+/b", "#", "a/#", "+", "$x/#", "$x/b", "+/+"}
	prefixes := []string{"", "", "$local/", "$share/g/", "$share/h/", "$local/$queue/"}
	names := []topic.Name{"a", "a/b", "a/c", "b/b", "$x/b", "c/d/e"}
	rapid.Check(t, func(rt *rapid.T) {
		r := newTestRouter(t, Options{Shards: 3})
		var subs []*Subscriber
		var probes []*probe
		for i := range 4 {
			s, p := join(t, r, fmt.Sprint("c", i))
			subs, probes = append(subs, s), append(probes, p)
		}
		type key struct {
			client int
			text   string
		}
		model := map[key]protocol.QoS{}
		draw := func(rt *rapid.T) key {
			return key{
				rapid.IntRange(0, 3).Draw(rt, "client"),
				rapid.SampledFrom(prefixes).Draw(rt, "prefix") + rapid.SampledFrom(filters).Draw(rt, "filter"),
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(rt *rapid.T) {
				k, q := draw(rt), rapid.SampledFrom([]protocol.QoS{0, 1, 2}).Draw(rt, "qos")
				_, had := model[k]
				if r.subscribe(want(subs[k.client], k.text, q)) == had {
					rt.Fatalf("%v: had %v", k, had)
				}
				model[k] = q
			},
			"unsubscribe": func(rt *rapid.T) {
				k := draw(rt)
				_, had := model[k]
				if r.unsubscribe(subs[k.client], k.text) != had {
					rt.Fatalf("%v: had %v", k, had)
				}
				delete(model, k)
			},
			"publish": func(rt *rapid.T) {
				name := rapid.SampledFrom(names).Draw(rt, "name")
				wantPlain := map[int]protocol.QoS{}
				groups := map[string][]int{}
				for k, q := range model {
					sub := parse(k.text)
					if !topic.Match(sub.Filter, name) {
						continue
					}
					if g := sub.Group; g != "" {
						groups[g+" "+string(sub.Filter)] = append(groups[g+" "+string(sub.Filter)], k.client)
					} else {
						wantPlain[k.client] = max(wantPlain[k.client], q)
					}
				}
				if n := publish(r, string(name)); n != len(wantPlain)+len(groups) {
					rt.Fatalf("%q: %d deliveries, want %v and %v", name, n, wantPlain, groups)
				}
				shared := 0
				for i, p := range probes {
					plain := 0
					for _, it := range p.take() {
						if it.Shared {
							if shared++; !isMember(groups, i) {
								rt.Fatalf("client %d is in none of %v", i, groups)
							}
							continue
						}
						plain++
						if q, ok := wantPlain[i]; !ok || it.QoS != q || plain > 1 {
							rt.Fatalf("client %d got %+v, want %v", i, it, wantPlain)
						}
					}
					if _, ok := wantPlain[i]; ok != (plain == 1) {
						rt.Fatalf("client %d got %d ordinary copies, want %v", i, plain, wantPlain)
					}
				}
				if shared != len(groups) {
					rt.Fatalf("%d shared copies, want one for each of %v", shared, groups)
				}
			},
			"": func(rt *rapid.T) {
				if n := r.Counts().Subscriptions; n != len(model) {
					rt.Fatalf("%d subscriptions are counted, want %d", n, len(model))
				}
				if n := r.wildcards.Load(); (n > 0) != slices.ContainsFunc(filters, func(f string) bool {
					_, ok := r.tableFor(topic.Filter(f)).filters.Lookup(topic.Filter(f))
					return ok && topic.Filter(f).HasWildcard()
				}) {
					rt.Fatalf("%d wildcard filters are counted", n)
				}
			},
		})
	})
}

func isMember(groups map[string][]int, client int) bool {
	for _, members := range groups {
		if slices.Contains(members, client) {
			return true
		}
	}
	return false
}

func TestPublishDoesNotAllocate(t *testing.T) {
	r := newTestRouter(t, Options{})
	r.subscribe(want(sink(t, r, "exact"), "device/1/t", 1))
	r.subscribe(want(sink(t, r, "wild"), "device/+/t", 1))
	r.subscribe(want(sink(t, r, "shared"), "$share/g/device/#", 1))
	m := &protocol.Message{Topic: "device/1/t"}
	round := func() {
		b := r.NewBatch()
		for range 64 {
			b.Publish(m)
		}
		b.Flush(true)
		b.Release()
	}
	round()
	// Pools are emptied by the collector now and then, and at random by the race
	// detector, so not exactly zero; one a message would be 64.
	if n := testing.AllocsPerRun(200, round); n > 12 {
		t.Errorf("%v allocations for 64 messages to 3 subscribers", n)
	}
}
