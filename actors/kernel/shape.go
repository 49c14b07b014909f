package kernel

import (
	"slices"
	"strconv"
	"strings"
)

// numbered stands for all siblings which are named by a number.
const numbered = "<0..n>"

// Shape draws the names of a tree, without anything that differs from one run
// or machine to the next: siblings named 0, 1, 2 … become <0..n>, whose
// children are those of all of them.
//
//	node
//	├─ system
//	└─ topics/<0..n>
func Shape(root Node) string {
	var b strings.Builder
	s := shapeOf([]Node{root})[0]
	s.label(&b)
	b.WriteByte('\n')
	s.draw(&b, "")
	return b.String()
}

type shape struct {
	name     string
	children []*shape
}

// shapeOf folds nodes of the same name, and numbers, into one shape each.
func shapeOf(nodes []Node) []*shape {
	var names []string
	below := make(map[string][]Node)
	for _, n := range nodes {
		name := n.Name
		if _, err := strconv.Atoi(name); err == nil {
			name = numbered
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		below[name] = append(below[name], n.Children...)
	}
	shapes := make([]*shape, len(names))
	for i, name := range names {
		shapes[i] = &shape{name: name, children: shapeOf(below[name])}
	}
	return shapes
}

// label writes the name; a single numbered child joins it on the same line.
func (s *shape) label(b *strings.Builder) {
	b.WriteString(s.name)
	if len(s.children) == 1 && s.children[0].name == numbered {
		b.WriteByte('/')
		only := s.children[0]
		only.label(b)
		s.children = only.children
	}
}

func (s *shape) draw(b *strings.Builder, indent string) {
	for i, child := range s.children {
		branch, more := "├─ ", "│  "
		if i == len(s.children)-1 {
			branch, more = "└─ ", "   "
		}
		b.WriteString(indent + branch)
		child.label(b)
		b.WriteByte('\n')
		child.draw(b, indent+more)
	}
}
