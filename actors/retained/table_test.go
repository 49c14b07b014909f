package retained

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

var order numbers

// later is a version after all before.
func later() lww.Version { return lww.Version{Stamp: order.Now()} }

func always() bool                     { return true }
func every(*protocol.Message) bool     { return true }
func named(s string) *protocol.Message { return &protocol.Message{Topic: topic.Name(s)} }
func topicsOf(ms []*protocol.Message) (names []string) {
	for _, m := range ms {
		names = append(names, string(m.Topic))
	}
	return names
}

func TestTableAgreesWithAListOfMessages(t *testing.T) {
	levels := []string{"", "a", "b", "$x", "longer level"}
	name := rapid.Custom(func(t *rapid.T) string {
		for {
			n := strings.Join(rapid.SliceOfN(rapid.SampledFrom(levels), 1, 4).Draw(t, "levels"), "/")
			if topic.CheckName(n) == nil {
				return n
			}
		}
	})
	filter := rapid.Custom(func(t *rapid.T) topic.Filter {
		for {
			l := rapid.SliceOfN(rapid.SampledFrom(append(levels[:4:4], "+", "+")), 1, 4).Draw(t, "levels")
			if rapid.Bool().Draw(t, "multi") {
				l = append(l, "#")
			}
			if f, err := topic.ParseFilter(strings.Join(l, "/")); err == nil {
				return f
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable()
		var model []*protocol.Message // oldest first
		drop := func(n string) bool {
			i := slices.IndexFunc(model, func(m *protocol.Message) bool { return string(m.Topic) == n })
			if i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
			return i >= 0
		}
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				m := named(name.Draw(t, "name"))
				if !tab.store(m, later(), always) {
					t.Fatal("refused")
				}
				drop(string(m.Topic))
				model = append(model, m)
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if got, want := tab.remove(topic.Name(n)), drop(n); got != want {
					t.Fatalf("remove of %q: got %v, want %v", n, got, want)
				}
			},
			"match": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				var want []*protocol.Message
				for _, m := range model {
					if topic.Match(f, m.Topic) {
						want = append(want, m)
					}
				}
				if got := tab.match(f, every); !slices.Equal(got, want) {
					t.Fatalf("%q: got %q, want %q", f, topicsOf(got), topicsOf(want))
				}
			},
			"": func(t *rapid.T) {
				if tab.count != len(model) {
					t.Fatalf("count is %d, want %d", tab.count, len(model))
				}
				if nodes := int(tab.next) - 1 - len(tab.free); (nodes == 0) != (len(model) == 0) || nodes != tab.edges.live {
					t.Fatalf("%d nodes and %d edges for %d messages", nodes, tab.edges.live, len(model))
				}
			},
		})
	})
}

func TestScanShowsEachMessageOnceAndMayRemoveIt(t *testing.T) {
	tab := newTable()
	for i := range 3000 {
		tab.store(named("a/"+string(rune('A'+i%26))+"/"+strings.Repeat("x", i/26)), later(), always)
	}
	seen := 0
	for at, pages := uint32(0), 0; ; pages++ {
		at = tab.scan(at, 100, func(node uint32, _ *protocol.Message) {
			seen++
			if seen%2 == 0 {
				tab.removeAt(node)
			}
		})
		if at == 0 {
			break
		}
		if pages > 100 {
			t.Fatal("the scan does not end")
		}
	}
	if seen != 3000 || tab.count != 1500 {
		t.Errorf("%d seen, %d left", seen, tab.count)
	}
}

func TestClearEmptiesTheTable(t *testing.T) {
	tab := newTable()
	tab.store(named("a/b"), later(), always)
	tab.store(named("a/c"), later(), always)
	if n := tab.clear(); n != 2 || tab.count != 0 || len(tab.match("#", every)) != 0 {
		t.Errorf("cleared %d, %d left", n, tab.count)
	}
	if !tab.store(named("a/b"), later(), always) || len(tab.match("#", every)) != 1 {
		t.Error("nothing can be stored afterwards")
	}
}
