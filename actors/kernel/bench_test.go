package kernel

import (
	"fmt"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// producers are what the benchmarks compare.
var producers = map[string]func() actor.MailboxProducer{
	"compact": func() actor.MailboxProducer { return NewMailbox(nil) },
	"bounded": func() actor.MailboxProducer {
		o := &MailboxOptions{NotifyEmpty: true}
		o.Bounds[Deliver] = Bound{Count: 1 << 30, Bytes: 1 << 40, Full: DropOldest}
		return NewMailbox(o)
	},
	"default": func() actor.MailboxProducer { return actor.Unbounded() },
}

func BenchmarkTell(b *testing.B) {
	for _, name := range []string{"compact", "bounded", "default"} {
		for _, senders := range []int{1, 8} {
			b.Run(fmt.Sprintf("mailbox=%s/senders=%d", name, senders), func(b *testing.B) {
				system, _ := newSystem()
				b.ReportAllocs()
				left := b.N / senders * senders
				done := make(chan struct{})
				if left == 0 {
					return
				}
				count := func(ctx actor.Context) {
					if _, ok := ctx.Message().(*note); ok {
						if left--; left == 0 {
							close(done)
						}
					}
				}
				pid := system.Root.Spawn(actor.PropsFromFunc(count, actor.WithMailbox(producers[name]())))
				msg := &note{class: Deliver, size: 64}
				per := b.N / senders
				b.ResetTimer()
				for range senders {
					go func() {
						for range per {
							system.Root.Send(pid, msg)
						}
					}()
				}
				<-done
			})
		}
	}
}

// BenchmarkWake sends one message to each of many idle actors in turn: what a
// fan-out pays per receiver, with the start of its goroutine.
func BenchmarkWake(b *testing.B) {
	for _, name := range []string{"compact", "default"} {
		b.Run("mailbox="+name+"/actors=1000", func(b *testing.B) {
			const actors = 1000
			system, _ := newSystem()
			b.ReportAllocs()
			var wg sync.WaitGroup
			props := actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(*note); ok {
					wg.Done()
				}
			}, actor.WithMailbox(producers[name]()))
			pids := make([]*actor.PID, actors)
			for i := range pids {
				pids[i] = system.Root.Spawn(props)
			}
			msg := &note{class: Deliver}
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += actors {
				n := min(actors, b.N-sent)
				wg.Add(n)
				for _, pid := range pids[:n] {
					system.Root.Send(pid, msg)
				}
				wg.Wait()
			}
		})
	}
}

func BenchmarkSpawnAndStop(b *testing.B) {
	for _, shards := range []int{1, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			system, _ := newSystem()
			s := NewShards("s", shards)
			root, err := StartRoot(system, "node", []ChildSpec{s.Spec()}, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var wg sync.WaitGroup
			props := propsOf(funcActor{receive: func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Stopped); ok {
					wg.Done()
				}
			}})
			spawn := &Spawn{Props: props, Reply: func(pid *actor.PID) { system.Root.Stop(pid) }}
			b.ResetTimer()
			wg.Add(b.N)
			for i := range b.N {
				system.Root.Send(s.At(i%shards), spawn)
			}
			wg.Wait()
			b.StopTimer()
			system.Root.Stop(root)
		})
	}
}

func BenchmarkWheel(b *testing.B) {
	for _, pending := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			b.ReportAllocs()
			var w wheel[int]
			for i := range pending {
				w.add(i, int64(1+i%90))
			}
			tick := int64(0)
			var due []int
			for n := 0; n < b.N; {
				tick++
				due = due[:0]
				w.advance(tick, func(v int) { due = append(due, v) })
				for _, v := range due {
					w.add(v, tick+90)
				}
				n += max(1, len(due))
			}
		})
	}
}
