package kernel

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestPoolRunsEveryJobOnAFewGoroutines(t *testing.T) {
	p := NewPool(4)
	defer p.Close()
	var now, most, ran atomic.Int64
	var all sync.WaitGroup
	const jobs = 10_000
	all.Add(jobs)
	for range jobs {
		p.Schedule(func() {
			defer all.Done()
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			ran.Add(1)
			now.Add(-1)
		})
	}
	all.Wait()
	if ran.Load() != jobs || most.Load() > 4 {
		t.Errorf("%d jobs ran, %d at once", ran.Load(), most.Load())
	}
}

func TestPoolWakesAnIdleWorkerForEachJob(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	for range 1000 {
		done := make(chan struct{})
		p.Schedule(func() { close(done) })
		<-done
	}
}

func TestPoolFinishesWhatWaitsWhenItIsClosed(t *testing.T) {
	p := NewPool(1)
	var all sync.WaitGroup
	all.Add(100)
	for range 100 {
		p.Schedule(all.Done)
	}
	p.Close()
	all.Wait()
	all.Add(1)
	p.Schedule(all.Done)
	all.Wait()
}

func BenchmarkFanOut(b *testing.B) {
	pool := NewPool(8)
	defer pool.Close()
	for _, d := range []struct {
		name string
		d    actor.Dispatcher
	}{{"goroutine", actor.NewDefaultDispatcher(300)}, {"pool", pool}} {
		b.Run("dispatcher="+d.name, func(b *testing.B) {
			system := NewSystem(slog.New(slog.DiscardHandler))
			var all sync.WaitGroup
			props := NewProps(func() actor.Actor {
				return actor.ReceiveFunc(func(c actor.Context) {
					if _, ok := c.Message().(*Wake); ok {
						all.Done()
					}
				})
			}, WithDispatcher(d.d))
			pids := make([]*actor.PID, 1000)
			for i := range pids {
				pids[i] = system.Root.Spawn(props)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				all.Add(len(pids))
				for _, p := range pids {
					system.Root.Send(p, wakeMessage)
				}
				all.Wait()
			}
		})
	}
}
