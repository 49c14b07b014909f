// Package measure holds what figures are made of: a histogram of times, the
// account of messages that must arrive once, and what processes use.
package measure

import (
	"math/bits"
	"time"
)

const (
	precision = 6 // bits: a bucket is 1/64 of its power of two, so figures are right within 1.6 %
	linear    = 1 << precision
)

// Histogram counts times. The zero value is empty; adding does not allocate.
type Histogram struct {
	buckets [(64 - precision) * linear]uint64
	count   uint64
	sum     time.Duration
	max     time.Duration
}

func bucketOf(d time.Duration) int {
	shift := max(0, bits.Len64(uint64(d))-precision-1)
	return shift<<precision + int(uint64(d)>>shift)
}

// lowerBound is the smallest time that falls into a bucket.
func lowerBound(bucket int) time.Duration {
	shift := max(0, bucket>>precision-1)
	return time.Duration(bucket-shift<<precision) << shift
}

// Add counts one time. What is negative, because two clocks disagree, is 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(d)]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Reset empties it.
func (h *Histogram) Reset() { *h = Histogram{} }

// Count is how many times were added.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is 0 for an empty histogram.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile is the time which the fraction q of all did not exceed, 0 for an
// empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen > rank {
			return min(lowerBound(i), h.max)
		}
	}
	return h.max
}

// Row is a range of times, for a drawing.
type Row struct {
	From, To time.Duration // From included, To not
	Count    uint64
}

// Rows sums the histogram up by powers of two of a microsecond, from the first
// range that has a count to the last.
func (h *Histogram) Rows() []Row {
	var rows []Row
	from, to := time.Duration(0), time.Microsecond
	row := Row{from, to, 0}
	for i, n := range h.buckets {
		if n == 0 {
			continue
		}
		for lowerBound(i) >= row.To {
			if len(rows) > 0 || row.Count > 0 {
				rows = append(rows, row)
			}
			row = Row{row.To, 2 * row.To, 0}
		}
		row.Count += n
	}
	if row.Count > 0 {
		rows = append(rows, row)
	}
	return rows
}
