package config

// Module is what EMQ 2.x called modules: small parts that can be switched off.
type Module struct {
	// Presence publishes when clients come and go.
	Presence bool `conf:"presence"`
	// PresenceQoS of those messages.
	PresenceQoS int `conf:"presence.qos" validate:"min=0,max=2"`
}
