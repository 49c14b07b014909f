//go:build !noledger

package ledger

// on is what the build tag noledger switches off, so that tests/bench can tell what the ledger costs. A node that is built so
// keeps no books; it is not for use.
const on = true
