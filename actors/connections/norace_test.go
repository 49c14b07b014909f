//go:build !race

package connections

const racing = false
