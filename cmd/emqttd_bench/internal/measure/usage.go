package measure

import "time"

// Usage is what processes have used up to a moment. Of a system that does not
// tell, Known is false.
type Usage struct {
	Known   bool          // the broker's process was found
	CPU     time.Duration // of the broker and its descendants
	RSS     int64         // bytes, of the same
	Self    time.Duration // CPU of this process
	Machine time.Duration // CPU of all processes of the machine
	At      time.Time
}

// Between is the difference of two moments.
type Between struct {
	Known                    bool
	CPU, Self, Other, Length time.Duration
	RSS                      int64 // bytes, may be negative
}

// Since is what was used from an earlier moment until u. Other is what the rest
// of the machine took.
func (u Usage) Since(before Usage) Between {
	b := Between{
		Known: u.Known && before.Known, CPU: u.CPU - before.CPU, Self: u.Self - before.Self,
		Length: u.At.Sub(before.At), RSS: u.RSS - before.RSS,
	}
	b.Other = max(0, u.Machine-before.Machine-b.CPU-b.Self)
	return b
}

// Cores is how many processors a time of CPU kept busy.
func (b Between) Cores(cpu time.Duration) float64 {
	if b.Length <= 0 {
		return 0
	}
	return cpu.Seconds() / b.Length.Seconds()
}
