package main

import (
	"fmt"
	"slices"
)

// finding is what became of a goal.
type finding struct {
	What    string    `json:"what"`
	Must    string    `json:"must"`
	Against string    `json:"against,omitempty"`
	Values  []float64 `json:"values"` // of each repetition
	Found   string    `json:"found"`
	Kept    bool      `json:"kept"`
}

func (f finding) verdict() string {
	if f.Kept {
		return "yes"
	}
	return "**no**"
}

// judge holds our figures against the goals: the median of all repetitions counts.
func (o *outcome) judge() (all []finding) {
	for _, g := range o.work.goals {
		f := finding{What: g.what, Must: "≤ ", Against: g.against}
		if g.atLeast {
			f.Must = "≥ "
		}
		f.Must += digits(g.limit)
		unit := g.unit
		if g.against != "" {
			if g.against == bestOther {
				f.Against = o.best(g.figure)
			}
			unit = "×"
			f.Must += " × " + possessive(g.against)
		}
		if unit != "" && g.against == "" {
			f.Must += " " + unit
		}
		f.Values = o.values(g.figure, f.Against)
		f.Found = "nothing"
		if len(f.Values) > 0 {
			m := median(f.Values)
			f.Kept = m <= g.limit != g.atLeast || m == g.limit
			f.Found = spread(f.Values) + " " + unit
			if g.against == bestOther {
				f.Found += " " + possessive(f.Against)
			}
		}
		all = append(all, f)
	}
	return all
}

func possessive(name string) string {
	switch name {
	case bestOther:
		return name
	case nats:
		return "NATS's"
	}
	return name + "'s"
}

// values are our figure in each repetition, in terms of the other's in the same one
// unless that is empty.
func (o *outcome) values(f figure, against string) (all []float64) {
	ours := o.Reports[emqttd]
	theirs := o.Reports[against]
	for i, r := range ours {
		v, ok := f.of(r)
		if !ok {
			continue
		}
		if against != "" {
			if i >= len(theirs) {
				break
			}
			t, ok := f.of(theirs[i])
			if !ok || t == 0 {
				continue
			}
			v /= t
		}
		all = append(all, v)
	}
	return all
}

// best is the other broker whose median is the lowest, or for rates the highest.
func (o *outcome) best(f figure) (name string) {
	var found float64
	for _, other := range o.work.others {
		v := o.median(f, other)
		if v > 0 && (name == "" || v < found != f.atLeast) {
			name, found = other, v
		}
	}
	return name
}

// median of a figure of one broker, 0 if there is none.
func (o *outcome) median(f figure, name string) float64 {
	return median(o.all(f, name))
}

func (o *outcome) all(f figure, name string) (values []float64) {
	for _, r := range o.Reports[name] {
		if v, ok := f.of(r); ok {
			values = append(values, v)
		}
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spread is the median, and from where to where the values reach.
func spread(values []float64) string {
	if len(values) == 1 {
		return digits(values[0])
	}
	return fmt.Sprintf("%s (%s – %s)", digits(median(values)), digits(slices.Min(values)), digits(slices.Max(values)))
}
