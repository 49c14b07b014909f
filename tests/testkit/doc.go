// Package testkit holds what the tests of the whole broker share: a node in this
// process (Start), the real program in a process of its own (StartProcess), a
// client that speaks in Control Packets (Dial), and a network in memory
// (NewNetwork).
//
// Everything it starts ends with the test that asked for it. Nothing of it waits
// by sleeping; what does not happen within Patience fails the test.
package testkit

import "time"

// Patience is how long a test waits for what must happen. It is long because
// the race detector on a busy machine is slow, and costs nothing where things
// happen at once.
const Patience = 30 * time.Second
