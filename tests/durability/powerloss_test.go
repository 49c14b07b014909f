package durability

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"emqttd/config"
	"emqttd/tests/durability/checker"
)

// seedFlag repeats the choices of a run that failed: go test -run PowerLoss -seed N.
var seedFlag = flag.Uint64("seed", 0, "seed of the random workloads; 0 is a new one")

func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64()>>1 | 1
	}
	t.Logf("to repeat: go test ./tests/durability -run '^%s$' -seed %d", t.Name(), s)
	return s
}

// crashPoints is how often the power is cut: TEST_CRASHES, or a number that fits
// into make test.
func crashPoints(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("TEST_CRASHES")); err == nil {
		return n
	}
	return usual
}

// slow is a disk that takes its time to sync, so that more is under way when the
// power goes.
func slow(fs vfs.FS, rng *rand.Rand) vfs.FS {
	return errorfs.Wrap(fs, errorfs.RandomLatency(syncs{}, 300*time.Microsecond, rng.Int64(), 5*time.Millisecond))
}

// syncs is about the operations that sync.
type syncs struct{}

func (syncs) String() string { return "syncs" }

func (syncs) Evaluate(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

// plant is a machine whose power is cut again and again.
type plant struct {
	t       testing.TB
	rng     *rand.Rand
	config  *config.Config
	crashes int
	keep    func(*rand.Rand) int // percent of what was not synced that is left
	stats   checker.Stats
	limit   time.Duration // for a world to be drained
}

// generation lets a world run on a file system and cuts the power at random
// moments. Each time a new node is started on what is left, and the world of that
// moment drained. It returns the last world and its files, to go on with.
func (p *plant) generation(w *checker.World, fs *vfs.MemFS, crashes int) (*checker.World, *vfs.MemFS, []string) {
	m := mustBoot(p.t, p.config, slow(fs, p.rng))
	w.Use(m.dial)
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		<-stopped
		w.Hang()
		m.down()
	}()
	points := make(chan chan struct{})
	go func() {
		defer close(stopped)
		pace := rand.New(rand.NewPCG(p.rng.Uint64(), 1))
		for {
			w.Run(1+pace.IntN(400), stop)
			point := make(chan struct{})
			select {
			case points <- point:
				<-point
			case <-stop:
				return
			}
		}
	}()
	for i := 0; ; i++ {
		point := <-points
		var left *vfs.MemFS
		cut := w.Clone(p.rng.Uint64(), func() {
			left = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p.keep(p.rng), RNG: p.rng})
		})
		close(point)
		if faults := w.Faults(); len(faults) > 0 {
			return nil, nil, faults
		}
		if i == crashes-1 {
			p.stats = w.Stats()
			return cut, left, nil
		}
		p.crashes++
		if faults := p.inspect(cut, left); len(faults) > 0 {
			return nil, nil, faults
		}
	}
}

// inspect starts a node on what is left and drains the world of that moment.
func (p *plant) inspect(w *checker.World, fs vfs.FS) []string {
	m := mustBoot(p.t, p.config, fs)
	w.Use(m.dial)
	faults := w.Drain(p.limit)
	w.Hang()
	m.down()
	if len(faults) > 0 {
		p.t.Logf("log of the node after the crash:\n%s", m.log)
	}
	return faults
}

// perGeneration is how many crash points there are before the machine itself
// goes down and comes back.
const perGeneration = 12

// cut runs worlds until there were enough crashes, and returns the faults of the
// first that has any.
func (p *plant) cut(crashes int, profiles []checker.Profile) []string {
	for p.crashes < crashes {
		w, fs := checker.New(p.rng.Uint64(), profiles), vfs.NewCrashableMem()
		for range 4 {
			if p.crashes >= crashes {
				break
			}
			var faults []string
			w, fs, faults = p.generation(w, fs, perGeneration)
			if len(faults) > 0 {
				return faults
			}
		}
	}
	return nil
}

// TestPowerLossCostsNothingThatWasAcknowledged cuts the power at random moments
// of random work and looks, with the clients, at what a new node makes of the
// files that are left.
func TestPowerLossCostsNothingThatWasAcknowledged(t *testing.T) {
	p := &plant{t: t, rng: rand.New(rand.NewPCG(seed(t), 0)), config: settings(t), limit: 30 * time.Second}
	p.keep = func(r *rand.Rand) int { return []int{0, 0, 30, 70, 100}[r.IntN(5)] }
	started := time.Now()
	if faults := p.cut(crashPoints(cuts), checker.Everybody()); len(faults) > 0 {
		t.Fatalf("after %d crashes:\n%s", p.crashes, strings.Join(faults, "\n"))
	}
	t.Logf("%d crashes in %v; the last world: %+v", p.crashes, time.Since(started).Round(time.Second), p.stats)
}

// TestTheCheckerFindsWhatAPowerLossCosts shows that the test above can fail: with
// store.sync = never, and nothing left that was not synced, there are losses.
func TestTheCheckerFindsWhatAPowerLossCosts(t *testing.T) {
	p := &plant{t: t, rng: rand.New(rand.NewPCG(seed(t), 0)), config: settings(t), limit: time.Second}
	p.config.Store.Sync = "never"
	p.keep = func(*rand.Rand) int { return 0 }
	faults := p.cut(40, checker.Everybody())
	if len(faults) == 0 {
		t.Fatalf("%d crashes without any sync, and the checker has found nothing", p.crashes)
	}
	t.Logf("found after %d crashes: %s", p.crashes, faults[0])
}
