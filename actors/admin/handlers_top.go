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

// topInfo is one picture of the busiest actors.
type topInfo struct {
	Looked int         `json:"looked_at"`
	Left   int         `json:"left_out"`
	Actors []ActorLoad `json:"actors"`
}

// top shows the busiest actors. The command line asks again and again, unless --once tells it not to.
func top(r *Request, args []string) Result {
	rows, by := topRows, byMailbox
	for i := 0; i < len(args); i++ {
		switch n, err := strconv.Atoi(args[i]); {
		case args[i] == "--once":
		case args[i] == "--by" && i+1 < len(args) && args[i+1] == "mailbox":
			i++
		case args[i] == "--by" && i+1 < len(args) && args[i+1] == "rate":
			by = byRate
			i++
		case err == nil && n >= 1 && n <= maxTop:
			rows = n
		default:
			return r.WrongArguments()
		}
	}
	return one(r, busiest(r.Sources, rows, by), func(b *strings.Builder, t topInfo) {
		fmt.Fprintf(b, "%d actors looked at, %d left out\n%-48s %10s %12s\n", t.Looked, t.Left, "actor", "mailbox", "messages/s")
		for _, a := range t.Actors {
			fmt.Fprintf(b, "%-48s %10d %12.1f\n", safe(a.ID), a.Mailbox, a.Rate)
		}
	})
}

func busiest(src *Sources, rows int, by func(x, y ActorLoad) int) topInfo {
	loads, left := src.Loads(topLooks, int(topTurn.Add(1)), topApart)
	t := topInfo{Looked: len(loads), Left: left}
	slices.SortFunc(loads, by)
	t.Actors = loads[:min(rows, len(loads))]
	return t
}

func byMailbox(x, y ActorLoad) int {
	return cmp.Or(cmp.Compare(y.Mailbox, x.Mailbox), cmp.Compare(y.Rate, x.Rate), cmp.Compare(x.ID, y.ID))
}

func byRate(x, y ActorLoad) int {
	return cmp.Or(cmp.Compare(y.Rate, x.Rate), cmp.Compare(y.Mailbox, x.Mailbox), cmp.Compare(x.ID, y.ID))
}
