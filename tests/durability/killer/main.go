// Command killer kills a broker with SIGKILL, again and again, while clients
// publish and subscribe with QoS 1 and 2, and tells which promises it has broken
// (package checker). The broker is any program that serves MQTT over TCP and has
// its data in a folder which outlives it:
//
//	go run ./tests/durability/killer -kills 100 -addr 127.0.0.1:1883 -- bin/emqttd -c /tmp/e/etc/emq.conf foreground
//	go run ./tests/durability/killer -kills 100 -addr 127.0.0.1:1884 -- mosquitto -c /tmp/m/mosquitto.conf
//
// It exits with 1 if there are any.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"emqttd/tests/durability/checker"
)

func main() {
	kills := flag.Int("kills", 100, "how often to kill")
	events := flag.Int("events", 4000, "what the clients send and get between two kills, about")
	addr := flag.String("addr", "127.0.0.1:1883", "where the broker serves MQTT")
	seed := flag.Uint64("seed", 0, "seed of the workload; 0 is a new one")
	all := flag.Bool("all", false, "wills, retained messages, shared subscriptions and ended sessions, too")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "killer: no command to start the broker; see go doc ./tests/durability/killer")
		os.Exit(2)
	}
	if *seed == 0 {
		*seed = rand.Uint64() >> 1
	}
	profiles := checker.Load()
	if *all {
		profiles = checker.Everybody()
	}
	w := checker.New(*seed, profiles)
	s := &checker.Server{Addr: *addr, Command: flag.Args()}
	started := time.Now()
	faults, err := w.Kills(s, rand.New(rand.NewPCG(*seed, 1)), *kills, *events, func(n int) {
		if n%10 == 0 {
			fmt.Fprintf(os.Stderr, "%d kills, %v\n", n, time.Since(started).Round(time.Second))
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "killer:", err)
		os.Exit(1)
	}
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	st := w.Stats()
	fmt.Printf("kills %d, seed %d, %v\n", *kills, *seed, time.Since(started).Round(time.Second))
	fmt.Printf("acknowledged %d of %d, received %d and %d again, connects %d\n", st.Acknowledged, st.Published, st.Received, st.Again, st.Connects)
	fmt.Printf("lost %d, twice at QoS 2 %d, out of order %d, sessions lost %d, other %d\n", st.Lost, st.Twice, st.Disorder, st.Sessions, st.Other)
	if len(faults) > 0 {
		os.Exit(1)
	}
}
