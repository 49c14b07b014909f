package connections

import "emqttd/protocol"

// Drain says that clients are to go elsewhere: Code is UseAnotherServer or
// ServerMoved, Server the Server Reference for clients of MQTT 5, empty for none
// (MQTT 5.0, 4.11).
type Drain struct {
	Code   protocol.ReasonCode
	Server string
}

// Redirect closes a connection and tells its client where to go.
type Redirect struct{ Drain }

// SetDrain makes the node refuse new connections, or, with nil, take them again.
// Those that exist are not touched.
func (rt *Runtime) SetDrain(d *Drain) { rt.drain.Store(d) }

// drained refuses a CONNECT while the node is drained.
func (h *handshake) drained() error {
	d := h.rt.drain.Load()
	if d == nil {
		return nil
	}
	return &refusal{code: d.Code, reason: "draining", server: d.Server}
}

// Draining tells whether SetDrain has made the node refuse new connections.
func (rt *Runtime) Draining() bool { return rt.drain.Load() != nil }
