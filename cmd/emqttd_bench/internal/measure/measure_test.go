package measure

import (
	"os"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantilesAreRightWithinTheResolution(t *testing.T) {
	var h Histogram
	for i := range 10_000 {
		h.Add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{.5: 5 * time.Millisecond, .9: 9 * time.Millisecond, .99: 9900 * time.Microsecond} {
		if got := h.Quantile(q); got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if h.Max() != 10*time.Millisecond || h.Quantile(1) != h.Max() || h.Mean() != 5000500*time.Nanosecond {
		t.Errorf("max %v, mean %v", h.Max(), h.Mean())
	}
	h.Reset()
	if h.Count() != 0 || h.Quantile(.5) != 0 || h.Mean() != 0 || h.Rows() != nil {
		t.Error("an empty histogram has figures")
	}
}

func TestEveryTimeFallsIntoABucketThatHoldsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Min(0).Draw(t, "d"))
		i := bucketOf(d)
		if lowerBound(i) > d || i+1 < len(Histogram{}.buckets) && lowerBound(i+1) <= d && lowerBound(i+1) > 0 {
			t.Fatalf("%d: bucket %d from %d to %d", d, i, lowerBound(i), lowerBound(i+1))
		}
	})
}

func TestRowsHoldEveryCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Histogram
		times := rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour))).Draw(t, "times")
		for _, d := range times {
			h.Add(time.Duration(d))
		}
		var sum uint64
		var end time.Duration
		for i, r := range h.Rows() {
			sum += r.Count
			if i > 0 && r.From != end {
				t.Fatalf("row %d begins at %v, the one before ends at %v", i, r.From, end)
			}
			end = r.To
		}
		if sum != uint64(len(times)) {
			t.Fatalf("%d in rows, %d added", sum, len(times))
		}
	})
}

// TestAccountAgreesWithASet compares with the plain way to do it.
func TestAccountAgreesWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Account
		seen := map[uint32]bool{}
		var twice, reordered int64
		highest := int64(-1)
		for _, n := range rapid.SliceOf(rapid.Uint32Range(0, 300)).Draw(t, "numbers") {
			first := !seen[n]
			seen[n] = true
			switch {
			case !first:
				twice++
			case int64(n) < highest:
				reordered++
			}
			highest = max(highest, int64(n))
			if a.Arrived(n) != first {
				t.Fatalf("message %d: first is %v", n, !first)
			}
		}
		sent := rapid.Uint32Range(0, 320).Draw(t, "sent")
		missing := int64(0)
		for n := range sent {
			if !seen[n] {
				missing++
			}
		}
		if a.Twice != twice || a.Reordered != reordered || a.Received != int64(len(seen)) || a.Missing(sent) != missing {
			t.Fatalf("%d twice, %d reordered, %d received, %d of %d missing; want %d, %d, %d, %d",
				a.Twice, a.Reordered, a.Received, a.Missing(sent), sent, twice, reordered, len(seen), missing)
		}
	})
}

func TestUsageOfThisProcessGrows(t *testing.T) {
	if runtime.GOOS != "linux" {
		if Now(os.Getpid()).Known {
			t.Error("known without /proc")
		}
		return
	}
	before := Now(os.Getpid())
	if !before.Known || before.RSS < 1<<20 {
		t.Fatalf("%+v", before)
	}
	ballast := make([]byte, 32<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	for Now(0).Self-before.Self < 30*time.Millisecond {
		ballast[0]++
	}
	d := Now(os.Getpid()).Since(before)
	if !d.Known || d.Self < 30*time.Millisecond || d.CPU == 0 || d.RSS < 16<<20 || d.Cores(d.Self) <= 0 {
		t.Errorf("%+v", d)
	}
	if Now(1 << 30).Known {
		t.Error("a process that does not exist is known")
	}
	runtime.KeepAlive(ballast)
}
