//go:build !race

package durability

// cuts is how often a test run cuts the power.
const cuts = 300
