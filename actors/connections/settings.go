package connections

import "time"

// Settings are what a connection is held to. It keeps those with which it began:
// its client has been told of them.
type Settings struct {
	MaxPacket       int           // largest Remaining Length
	MaxClientID     int           // longest client identifier, in bytes
	IdleTimeout     time.Duration // for CONNECT, and for the rest of a packet that has begun
	KeepAliveFactor float64       // of the Keep Alive, after which a silent client is lost
	SessionExpiry   time.Duration // of sessions of MQTT 3.x clients with Clean Session 0
	DenyDisconnects bool          // a client that publishes what it may not is sent away
	Features        Features
	PublishRate     int // messages per second of a client identifier; 0 is no limit
}

// Set gives other Settings to the connections that begin from now on. It may be
// called at any time, once before the first connection; s is not written to
// afterwards.
func (rt *Runtime) Set(s *Settings) { rt.settings.Store(s) }

// Settings are those of the next connection.
func (rt *Runtime) Settings() *Settings { return rt.settings.Load() }
