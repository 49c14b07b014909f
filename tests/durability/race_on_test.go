//go:build race

package durability

// cuts is how often make test cuts the power: the race detector makes a start of
// a node some ten times slower.
const cuts = 30
