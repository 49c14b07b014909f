//go:build noledger

package ledger

const on = false
