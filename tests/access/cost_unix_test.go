//go:build unix

package access

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/access/hash"
	"emqttd/tests/testkit"
)

// processor is the time that this process has had of it.
func processor(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The limit is 5 % of what a connect costs the broker. What the client spends is in
// the figure, too, and makes it smaller than it is; so half of it is allowed.
func TestOwnUsersAddLittleToTheCostOfAConnect(t *testing.T) {
	const n = 400
	node := start(t)
	before := processor(t)
	for i := range n {
		c := node.DialMemory(t)
		c.Connect(testkit.Hello(fmt.Sprint("c", i)))
		c.Close()
	}
	connect := (processor(t) - before) / n

	scheme, err := hash.Parse("salt,sha256")
	must(t, err)
	users, err := access.OpenAccounts(access.UserNames, access.NoTable{}, access.PasswordPool(), scheme)
	must(t, err)
	must(t, users.Add(context.Background(), "ann", []byte("ann-pw"), false))
	chain := access.NewChain(access.Options{Modules: []access.Module{users}, Users: users})
	cred := &access.Credentials{ClientID: "c", Username: "ann", Password: []byte("ann-pw"), Peer: "127.0.0.1"}
	const rounds = 20_000
	before = processor(t)
	for range rounds {
		if _, d, why := chain.Admit(context.Background(), cred); d != access.Accept {
			t.Fatal(d, why)
		}
	}
	admit := (processor(t) - before) / rounds
	share := float64(admit) / float64(connect)
	t.Logf("a connect takes %v of the processor on both sides, a password %v more: %.1f %%", connect, admit, 100*share)
	if share > 0.025 {
		t.Errorf("it adds %.1f %%", 100*share)
	}
}
