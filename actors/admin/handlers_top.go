package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// topLooks bounds the actors that one picture looks at, and so what it costs: some 10 ms of one core.
	topLooks = 20_000
	// topApart is how long rates are measured.
	topApart = time.Second
	topRows  = 20
	maxTop   = 1000
)

// topTurn has each picture look at other actors, where there are more than one looks at.
var topTurn atomic.Int64

// Busiest is one picture of the busiest actors.
type Busiest struct {
	Looked int         `json:"looked_at"`
	Left   int         `json:"left_out"`
	Actors []ActorLoad `json:"actors"`
}

// top shows the busiest actors. The command line asks again and again, unless --once tells it not to.
func top(r *Request, args []string) Result {
	rows, byRate := topRows, false
	for i := 0; i < len(args); i++ {
		switch n, err := strconv.Atoi(args[i]); {
		case args[i] == "--once":
		case args[i] == "--by" && i+1 < len(args) && args[i+1] == "mailbox":
			i++
		case args[i] == "--by" && i+1 < len(args) && args[i+1] == "rate":
			byRate = true
			i++
		case err == nil && n >= 1 && n <= maxTop:
			rows = n
		default:
			return r.WrongArguments()
		}
	}
	return one(r, Top(r.Sources, rows, byRate, topApart), func(b *strings.Builder, t Busiest) {
		fmt.Fprintf(b, "%d actors looked at, %d left out\n%-48s %10s %12s\n", t.Looked, t.Left, "actor", "mailbox", "messages/s")
		for _, a := range t.Actors {
			fmt.Fprintf(b, "%-48s %10d %12.1f\n", safe(a.ID), a.Mailbox, a.Rate)
		}
	})
}

// Top looks at the actors twice, some time apart, and returns the busiest: those with most messages waiting, or, by rate,
// those that handle most.
func Top(src *Sources, rows int, rate bool, apart time.Duration) Busiest {
	loads, left := src.Loads(topLooks, int(topTurn.Add(1)), apart)
	b := Busiest{Looked: len(loads), Left: left}
	by := byMailbox
	if rate {
		by = byRate
	}
	slices.SortFunc(loads, by)
	b.Actors = loads[:min(rows, len(loads))]
	return b
}

func byMailbox(x, y ActorLoad) int {
	return cmp.Or(cmp.Compare(y.Mailbox, x.Mailbox), cmp.Compare(y.Rate, x.Rate), cmp.Compare(x.ID, y.ID))
}

func byRate(x, y ActorLoad) int {
	return cmp.Or(cmp.Compare(y.Rate, x.Rate), cmp.Compare(y.Mailbox, x.Mailbox), cmp.Compare(x.ID, y.ID))
}
