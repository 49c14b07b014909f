//go:build race

package connections

// racing: the race detector makes pools forget at random.
const racing = true
