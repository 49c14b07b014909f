package node

import (
	"time"

	"emqttd/actors/access"
	"emqttd/actors/connections"
	"emqttd/config"
	"emqttd/protocol"
	"emqttd/protocol/delivery"
)

// sessionLimits are what a configuration says of sessions.
func sessionLimits(c *config.Config) *delivery.Limits {
	s, q := &c.MQTT.Session, &c.MQTT.MQueue
	l := &delivery.Limits{
		MaxInflight: s.MaxInflight, RetryInterval: s.RetryInterval,
		MaxAwaitingRel: s.MaxAwaitingRel, AwaitRelTimeout: s.AwaitRelTimeout,
		QueueLength: q.MaxLength, QueueBytes: q.MaxBytes, StoreQoS0: q.StoreQoS0,
		UpgradeQoS: s.UpgradeQoS, IgnoreLoop: s.IgnoreLoopDeliver,
	}
	if q.MaxLength > 0 {
		l.HighWatermark = int(float64(q.MaxLength) * q.HighWatermark)
		l.LowWatermark = int(float64(q.MaxLength) * q.LowWatermark)
	}
	if q.Priority {
		l.Priorities = q.Priorities
	}
	return l
}

// connectionSettings are what it says of connections.
func connectionSettings(c *config.Config) *connections.Settings {
	m := &c.MQTT
	return &connections.Settings{
		MaxPacket: m.MaxPacketSize, MaxClientID: m.MaxClientIDLen, IdleTimeout: m.IdleTimeout,
		KeepAliveFactor: 2 * m.KeepaliveBackoff, SessionExpiry: m.Session.ExpiryInterval,
		DenyDisconnects: m.ACLDenyAction == "disconnect",
		Features: connections.Features{
			KeepAlive:         uint16(m.ServerKeepalive / time.Second),
			TopicAliasMaximum: uint16(m.MaxTopicAlias), ReceiveMaximum: uint16(m.Session.MaxAwaitingRel),
			MaximumQoS: protocol.QoS(m.MaxQoSAllowed),
			NoRetain:   !m.RetainAvailable, NoWildcard: !m.WildcardSubscription,
			NoShared: !m.SharedSubscription, NoSubscriptionID: !m.SubscriptionIdentifier,
			CheckPayloadFormat: m.CheckPayloadFormat,
		},
		PublishRate: m.MaxPublishRate,
	}
}

// accessSettings are what it says of access.
func accessSettings(c *config.Config) access.Settings {
	m := &c.MQTT
	s := access.Settings{
		AllowAnonymous: m.AllowAnonymous, NoMatchAllow: m.ACLNoMatchAllow, StrictWildcards: c.ACL.StrictWildcards, CacheTTL: m.ACLCacheTTL,
	}
	if m.CacheACL {
		s.CacheSize = m.ACLCacheMaxSize
	}
	return s
}

func backoffOptions(c *config.Config) access.BackoffOptions {
	b := &c.Access.Backoff
	return access.BackoffOptions{After: b.After, First: b.First, Longest: b.Longest, Size: b.Size}
}
