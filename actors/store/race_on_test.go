//go:build race

package store

// raceOn: pebble checks itself in a build with the race detector, which makes it
// twenty times slower. Tests that try everything try less then.
const raceOn = true
