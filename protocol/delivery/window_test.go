package delivery

import (
	"testing"

	"pgregory.net/rapid"

	"emqttd/protocol"
)

// TestWindowEqualsAListOfFlights compares the window with the plainest thing
// that could do its work.
func TestWindowEqualsAListOfFlights(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var w window
		var list []protocol.PacketID
		w.last = protocol.PacketID(rapid.IntRange(0, 65535).Draw(rt, "start"))
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				f := w.add(item{msg: &protocol.Message{}}, awaitPuback, 0)
				if f.id == 0 {
					rt.Fatal("identifier 0")
				}
				list = append(list, f.id)
			},
			"remove": func(rt *rapid.T) {
				if len(list) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(list)-1).Draw(rt, "i")
				f := w.find(list[i])
				if f == nil {
					rt.Fatalf("%d is not found", list[i])
				}
				w.remove(f)
				list = append(list[:i:i], list[i+1:]...)
			},
			"wrap around": func(*rapid.T) {
				if len(list) > 0 {
					w.last = list[0] - 1 // the next identifier would be the first one's
				}
			},
			"": func(rt *rapid.T) { same(rt, &w, list) },
		})
	})
}

func same(rt *rapid.T, w *window, list []protocol.PacketID) {
	if w.live != len(list) {
		rt.Fatalf("%d live, want %d", w.live, len(list))
	}
	k := 0
	seen := make(map[protocol.PacketID]bool)
	for i := range w.n {
		if f := w.at(i); f.phase != acked {
			if f.id != list[k] || seen[f.id] {
				rt.Fatalf("place %d holds %d (seen before: %t), want %d", k, f.id, seen[f.id], list[k])
			}
			seen[f.id] = true
			k++
		}
	}
	for _, id := range list {
		if f := w.find(id); f == nil || f.id != id {
			rt.Fatalf("%d is not found", id)
		}
	}
	for _, id := range []protocol.PacketID{0, 1, 40000, 65535} {
		if f := w.find(id); f != nil && !seen[id] {
			rt.Fatalf("%d is found but not there", id)
		}
	}
}

// TestIdleStateHoldsNoMemory keeps sessions small after a burst.
func TestIdleStateHoldsNoMemory(t *testing.T) {
	var w window
	var q queue
	var flights []protocol.PacketID
	for range 1000 {
		flights = append(flights, w.add(item{msg: &protocol.Message{}}, awaitPuback, 0).id)
		q.push(item{msg: &protocol.Message{}}, 0)
	}
	for _, id := range flights {
		w.remove(w.find(id))
	}
	for !q.empty() {
		q.pop()
	}
	if len(w.ring) > ringKeep {
		t.Errorf("window keeps %d places", len(w.ring))
	}
	for _, l := range q.levels {
		if len(l.ring.items) > ringKeep {
			t.Errorf("queue keeps %d places", len(l.ring.items))
		}
	}
}
