// Package config reads the settings of a node.
//
// A node is configured as EMQ 2.x was: `etc/emq.conf` holds one `key = value`
// per line, and every key of EMQ 2.0 to 2.3 is known here. Settings come in
// layers, each of which overrides the one before:
//
//	defaults → emq.conf → plugin files → environment → flags
//
// The registry (Keys) is the single source of truth: it knows each key's type,
// default and meaning, and whether this version honours it, ignores it because
// it means nothing in Go, or refuses it because its feature does not exist yet.
// Load reports all problems at once, each with the place it comes from.
//
// The package is a leaf: plain structs which are immutable after Load. Nothing
// else reads files, flags or the environment; constructors take a struct.
package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Config is the whole configuration of one node. It is immutable after Load,
// so that it may be shared by all goroutines.
//
// The conf tags are the words of the keys, from the outside in: Session.RetryInterval
// is `mqtt.session.retry_interval`. The validate tags are the ranges that a
// value must be in; a value outside is reported with the line that set it.
type Config struct {
	Node     Node        `conf:"node"`
	Cluster  Cluster     `conf:"cluster"`
	Log      Log         `conf:"log"`
	Trace    Trace       `conf:"trace"`
	MQTT     MQTT        `conf:"mqtt"`
	Retainer Retainer    `conf:"retainer"`
	Module   Module      `conf:"module"`
	Access   AccessChain `conf:"access"`
	ACL      ACL         `conf:"acl"`
	Auth     Auth        `conf:"auth"`
	Store    Store       `conf:"store"`
	// DurabilityDisk is where sessions live that outlive their connection, unless
	// one of the rules says otherwise.
	DurabilityDisk bool             `conf:"durability"`
	Durability     []DurabilityRule `conf:"-"`
	// Listeners in the order in which they were named. None is a default: one
	// exists only where a file, the environment or a flag names it.
	Listeners []Listener `conf:"listeners" validate:"dive"`
}

// Node is the identity of a node and where it lives.
type Node struct {
	// Name is the node's name in the cluster, `name@host`.
	Name string `conf:"name" validate:"nodename,max=255"`
	// Cookie is the secret that nodes and the command line share. It appears in
	// no message and no dump.
	Cookie string `conf:"cookie" validate:"required,max=255" json:"-" msgpack:"-"`
	// DistListen is the IP:port where other nodes and the command line are served.
	DistListen string `conf:"dist_listen" validate:"required"`
	// DistAdvertise is the host:port by which others reach DistListen.
	DistAdvertise string `conf:"dist_advertise" validate:"required"`
	// DataDir is the folder of what must survive a restart; see Config.Path.
	DataDir string `conf:"data_dir" validate:"required"`
	// MemoryLimit is how much memory the node keeps below, in bytes; 0 is what
	// GOMEMLIMIT says, or three quarters of what there is.
	MemoryLimit int `conf:"memory_limit" validate:"omitempty,min=33554432"`
	// Reader is goroutine, epoll, or auto: who waits for what clients of plain TCP send.
	Reader string `conf:"reader"`
	// Home is the folder at which relative paths start: EMQ_HOME, or the folder
	// that holds the `etc/` of the emq.conf that was loaded. Empty, in a
	// Default, is the working directory. It has no key.
	Home string `conf:"-"`
}

// Log says what is written where. Levels are EMQ's: debug, info, notice,
// warning, error, critical, alert, emergency and none.
type Log struct {
	// Dir is the folder of the log files; see Config.Path.
	Dir string `conf:"dir" validate:"required"`
	// Console is where messages of Level go: off, file, console or both.
	Console string `conf:"console"`
	// Level is the least severe level that goes to the console and ConsoleFile.
	Level string `conf:"console.level"`
	// ConsoleFile is written when Console is file or both.
	ConsoleFile LogFile `conf:"console"`
	// Info receives everything from level info up. It is off while its File is empty.
	Info LogFile `conf:"info"`
	// Error receives everything from level error up. It is off while its File is empty.
	Error LogFile `conf:"error"`
	// Crash tells whether the runtime's report of a fatal crash is also written
	// to CrashFile (runtime/debug.SetCrashOutput).
	Crash bool `conf:"crash"`
	// CrashFile is the file for Crash.
	CrashFile string `conf:"crash.file"`
}

// LogFile is a log file that rotates by size.
type LogFile struct {
	// File is the path; see Config.Path. Empty: no such file is written.
	File string `conf:"file"`
	// Size in bytes at which the file is rotated; 0 is never.
	Size int `conf:"size" validate:"min=0"`
	// Count is how many rotated files are kept.
	Count int `conf:"count" validate:"min=0,max=1000"`
}

// Trace says which messages a collector of OpenTelemetry is told of.
type Trace struct {
	// Endpoint is the http or https URL of an OTLP/HTTP collector; empty: there is
	// none.
	Endpoint string `conf:"otlp.endpoint" validate:"omitempty,http_url"`
	// Sample is how many of the messages are told of whose publisher does not ask
	// for it, 0 to 1.
	Sample float64 `conf:"otlp.sample" validate:"min=0,max=1"`
}

// MQTT holds the limits and rules of the protocol.
type MQTT struct {
	// AllowAnonymous is the answer to a CONNECT about which no authentication
	// module decides.
	AllowAnonymous bool `conf:"allow_anonymous"`
	// ACLNoMatchAllow is the answer to a PUBLISH or SUBSCRIBE that no access rule matches.
	ACLNoMatchAllow bool `conf:"acl_nomatch"`
	// ACLDenyAction is ignore or disconnect: what happens to a client that publishes
	// what it may not.
	ACLDenyAction string `conf:"acl_deny_action"`
	// ACLFile holds the access rules; see Config.Path. It need not exist where
	// nothing sets it.
	ACLFile string `conf:"acl_file"`
	// CacheACL keeps the decisions about a client's topics, at most
	// ACLCacheMaxSize of them, for ACLCacheTTL.
	CacheACL        bool          `conf:"cache_acl"`
	ACLCacheMaxSize int           `conf:"acl_cache_max_size" validate:"min=1,max=65535"`
	ACLCacheTTL     time.Duration `conf:"acl_cache_ttl" validate:"min=1s"`
	// MaxClientIDLen is the longest client identifier in bytes. A server must
	// take 23. [MQTT-3.1.3-5]
	MaxClientIDLen int `conf:"max_clientid_len" validate:"min=23,max=65535"`
	// MaxPacketSize bounds the remaining length of a packet from a client, in bytes.
	MaxPacketSize int `conf:"max_packet_size" validate:"min=64,max=268435455"`
	// KeepaliveBackoff: a client that is silent for 2 × KeepaliveBackoff × its
	// Keep Alive is disconnected. [MQTT-3.1.2-24] asks for 1.5 × Keep Alive: 0.75.
	KeepaliveBackoff float64 `conf:"keepalive_backoff" validate:"min=0.5,max=100"`
	// MaxPublishRate is how many messages a second a client identifier may
	// publish; 0 is no limit.
	MaxPublishRate int `conf:"client.max_publish_rate" validate:"min=0"`
	// IdleTimeout is how long a new socket may take for its CONNECT, and how
	// long any packet may stay incomplete.
	IdleTimeout time.Duration `conf:"client.idle_timeout" validate:"min=100ms"`

	// ServerKeepalive is the longest Keep Alive of a client of MQTT 5; one that
	// asks for more, or for none, is told to use this. 0 leaves it to clients.
	// [MQTT-3.2.2-21]
	ServerKeepalive time.Duration `conf:"server_keepalive" validate:"omitempty,min=1s,max=65535s"`
	// MaxTopicAlias is the highest topic alias, each way.
	MaxTopicAlias int `conf:"max_topic_alias" validate:"min=0,max=65535"`
	// MaxQoSAllowed, RetainAvailable, WildcardSubscription, SharedSubscription
	// and SubscriptionIdentifier switch features off.
	MaxQoSAllowed          int  `conf:"max_qos_allowed" validate:"min=0,max=2"`
	RetainAvailable        bool `conf:"retain_available"`
	WildcardSubscription   bool `conf:"wildcard_subscription"`
	SharedSubscription     bool `conf:"shared_subscription"`
	SubscriptionIdentifier bool `conf:"subscription_identifier"`
	// WebsocketProtocolHeader demands that a WebSocket is asked for with a
	// sub-protocol of MQTT. [MQTT-6.0.0-4]
	WebsocketProtocolHeader bool `conf:"websocket_protocol_header"`
	// CheckPayloadFormat refuses a payload that is not UTF-8 where the Payload
	// Format Indicator says that it is.
	CheckPayloadFormat bool `conf:"check_payload_format"`

	Session Session `conf:"session"`
	MQueue  MQueue  `conf:"mqueue"`

	// SysInterval is the period of the $SYS messages; 0 is never.
	SysInterval time.Duration `conf:"broker.sys_interval" validate:"omitempty,min=1s"`
	// TopicShards is the number of topic shards, the single writers of the
	// subscription tables.
	TopicShards int `conf:"pubsub.pool_size" validate:"min=1,max=1024"`
	// SharedStrategy picks the member of a shared group: random, round_robin,
	// hash_clientid, hash_topic or sticky.
	SharedStrategy string `conf:"shared_subscription_strategy"`
	// PluginsDir is the folder of the plugin files, which Load has read.
	PluginsDir string `conf:"plugins.etc_dir"`
	// PluginsLoaded is the file with the names of the loaded plugins.
	PluginsLoaded string `conf:"plugins.loaded_file"`
}

// Session bounds one client's session.
type Session struct {
	// MaxSubscriptions is the number of subscriptions a session may hold; 0 is no limit.
	MaxSubscriptions int `conf:"max_subscriptions" validate:"min=0"`
	// UpgradeQoS delivers with the higher of the publisher's and the
	// subscription's QoS. The specification asks for the lower, which is what
	// false gives. [MQTT-3.8.4-6]
	UpgradeQoS bool `conf:"upgrade_qos"`
	// MaxInflight is the number of QoS 1 and 2 messages on their way to the
	// client at one time; 0 is as many as there are packet identifiers.
	MaxInflight int `conf:"max_inflight" validate:"min=0,max=65535"`
	// RetryInterval is after how long an unacknowledged message is sent again; 0 is never.
	RetryInterval time.Duration `conf:"retry_interval" validate:"omitempty,min=1s"`
	// MaxAwaitingRel is the number of QoS 2 messages from the client that may
	// wait for their PUBREL; 0 is as many as there are packet identifiers.
	MaxAwaitingRel int `conf:"max_awaiting_rel" validate:"min=0,max=65535"`
	// AwaitRelTimeout is after how long a QoS 2 message without PUBREL is given up.
	AwaitRelTimeout time.Duration `conf:"await_rel_timeout" validate:"min=1s"`
	// ExpiryInterval is how long a session with clean session 0 outlives its
	// connection; 0 ends it at once.
	ExpiryInterval time.Duration `conf:"expiry_interval" validate:"min=0"`
	// IgnoreLoopDeliver keeps a client's own messages from being delivered to it.
	IgnoreLoopDeliver bool `conf:"ignore_loop_deliver"`
}

// MQueue bounds what a session keeps while its client is away or slow.
type MQueue struct {
	// Priority orders the queue by Priorities.
	Priority bool `conf:"type"`
	// Priorities maps a topic name to 0–255; higher goes first, a topic that is
	// not in it counts as 0. nil for none.
	Priorities map[string]int `conf:"priority" validate:"dive,min=0,max=255"`
	// MaxLength is the number of messages at which the oldest is dropped; 0 is
	// no limit by number.
	MaxLength int `conf:"max_length" validate:"min=0"`
	// MaxBytes bounds the queue in bytes, each message counted with its overhead.
	MaxBytes int `conf:"max_bytes" validate:"min=1024"`
	// LowWatermark and HighWatermark are the parts of MaxLength at which the
	// alarm is cleared and raised.
	LowWatermark  float64 `conf:"low_watermark" validate:"min=0,max=1,ltefield=HighWatermark"`
	HighWatermark float64 `conf:"high_watermark" validate:"min=0,max=1"`
	// StoreQoS0 queues QoS 0 messages too while the client is away.
	StoreQoS0 bool `conf:"store_qos0"`
}

// Retainer bounds the retained store.
type Retainer struct {
	// MaxMessages is the number of retained messages; 0 is no limit.
	MaxMessages int `conf:"max_message_num" validate:"min=0"`
	// MaxPayload is the largest payload, in bytes, that is retained; 0 is no limit.
	MaxPayload int `conf:"max_payload_size" validate:"min=0"`
	// Expiry is how long a message is retained; 0 is for ever.
	Expiry time.Duration `conf:"expiry_interval" validate:"omitempty,min=1s"`
	// StorageType is ram, or disc (disc_only of EMQ means the same).
	StorageType string `conf:"storage_type"`
}

// Types of listeners.
const (
	ListenerTCP = "tcp" // MQTT over TCP
	ListenerSSL = "ssl" // MQTT over TLS
	ListenerWS  = "ws"  // MQTT over WebSocket
	ListenerWSS = "wss" // MQTT over WebSocket and TLS
	ListenerAPI = "api" // HTTP
)

// Listener is one socket that is listened on.
type Listener struct {
	// Type is one of those above.
	Type string `conf:"-"`
	// Name is unique among the listeners of one type.
	Name string `conf:"-"`
	// Address is IP:port, where port 0 lets the system choose, or unix: and the
	// path of a socket; see Config.Path and SocketPath.
	Address string `conf:"address" validate:"required"`
	// Acceptors is the number of goroutines that accept connections.
	Acceptors int `conf:"acceptors" validate:"min=1,max=1024"`
	// MaxClients is the number of connections at one time; one more is closed at once.
	MaxClients int `conf:"max_clients" validate:"min=1"`
	// Backlog is the length of the system's queue of connections not yet accepted.
	Backlog int `conf:"backlog" validate:"min=1,max=65535"`
	// SendTimeout is how long a write to a client may be stuck.
	SendTimeout time.Duration `conf:"send_timeout" validate:"min=100ms"`
	// SendTimeoutClose closes a connection whose write was stuck for SendTimeout.
	SendTimeoutClose bool `conf:"send_timeout_close"`
	// RecBuf and SndBuf are the socket's buffers in bytes; 0 leaves them to the system.
	RecBuf int `conf:"recbuf" validate:"min=0"`
	SndBuf int `conf:"sndbuf" validate:"min=0"`
	// NoDelay sends small packets at once (TCP_NODELAY).
	NoDelay bool `conf:"nodelay"`
	// ReuseAddr binds although old connections linger on the port (SO_REUSEADDR).
	ReuseAddr bool `conf:"reuseaddr"`

	// SocketMode is who may connect to a Unix socket; see SocketPerm.
	SocketMode string `conf:"socket_mode"`

	// MaxConnRate is the number of new connections per second; 0 is no limit.
	MaxConnRate int `conf:"max_conn_rate" validate:"min=0"`
	// MaxClientsPerIP and MaxConnRatePerIP bound what one source does: an IPv4
	// address, or the 64 bits of an IPv6 network. 0 is no limit.
	MaxClientsPerIP  int `conf:"max_clients_per_ip" validate:"min=0"`
	MaxConnRatePerIP int `conf:"max_conn_rate_per_ip" validate:"min=0"`
	// Access decides who may connect: the first rule that matches. Without one
	// that does, everybody may.
	Access []AccessRule `conf:"access.$n"`
	// RateLimit is how fast each client is read.
	RateLimit Rate `conf:"rate_limit"`
	// MessageRate is how many messages each client may publish, and
	// TotalMessageRate how many all of them together.
	MessageRate      MessageRate `conf:"message_rate_limit"`
	TotalMessageRate MessageRate `conf:"total_message_rate_limit"`
	// Mountpoint is put before the topics of the clients, with %c and %u for
	// client identifier and user name.
	Mountpoint string `conf:"mountpoint"`
	// ProxyProtocol expects the header of the PROXY protocol, within
	// ProxyTimeout, from ProxyTrusted; from anybody if that is empty.
	ProxyProtocol bool           `conf:"proxy_protocol"`
	ProxyTimeout  time.Duration  `conf:"proxy_protocol_timeout" validate:"omitempty,min=100ms"`
	ProxyTrusted  []netip.Prefix `conf:"proxy_protocol_trusted"`

	// Path is that of the WebSocket; empty is /mqtt.
	Path string `conf:"path"`
	// Origins are those pages whose browsers may connect; nil is all. See
	// listeners.WebSocket.
	Origins []string `conf:"origins"`
	// AddressHeader and PortHeader name what ProxyTrusted say about the client.
	AddressHeader string `conf:"proxy_address_header"`
	PortHeader    string `conf:"proxy_port_header"`

	// HandshakeTimeout is how long a TLS handshake may take; 0 is 15 s.
	HandshakeTimeout time.Duration `conf:"handshake_timeout" validate:"omitempty,min=100ms"`
	// CertFile and KeyFile are PEM files; see Config.Path.
	CertFile string `conf:"certfile"`
	KeyFile  string `conf:"keyfile"`
	// CACertFile holds the authorities that sign the certificates of clients.
	CACertFile string `conf:"cacertfile"`
	// VerifyPeer asks clients for a certificate; FailIfNoPeerCert refuses those
	// without.
	VerifyPeer       bool `conf:"verify"`
	FailIfNoPeerCert bool `conf:"fail_if_no_peer_cert"`
	// CRLFile lists certificates that their authorities have revoked.
	CRLFile string `conf:"crlfile"`
	// OCSPStapling asks the certificate's authority for what is stapled to it;
	// OCSPStapleFile holds that instead.
	OCSPStapling   bool   `conf:"ocsp_stapling"`
	OCSPStapleFile string `conf:"ocsp_staple_file"`
	// PeerCertAsUsername is none, cn or dn.
	PeerCertAsUsername string `conf:"peer_cert_as_username"`
	// TLSVersions and Ciphers are names; see TLSRange and CipherSuites.
	TLSVersions []string `conf:"tls_versions"`
	Ciphers     []string `conf:"ciphers"`
	// ReuseSessions gives out tickets that make later handshakes cheaper.
	ReuseSessions bool `conf:"reuse_sessions"`
}

// IsLocal tells whether only this host reaches the listener.
func (l *Listener) IsLocal() bool { return isLoopback(l.Address) }

// Key is the key that creates the listener, `listener.tcp.external`.
func (l *Listener) Key() string { return "listener." + l.Type + "." + escape(l.Name) }

// Path makes a path of the configuration absolute or relative to the working
// directory: a relative one starts at Node.Home.
func (c *Config) Path(rel string) string {
	if filepath.IsAbs(rel) {
		return filepath.Clean(rel)
	}
	return filepath.Join(c.Node.Home, rel)
}
