package config

func listenerKeys() []Key {
	return join(tcpKeys(), apiKeys(),
		refusedListenerKeys("ssl", "TLS listeners", "MQTT over TLS", tlsKeys("listener.ssl.$name.")),
		refusedListenerKeys("ws", "WebSocket listeners", "MQTT over WebSocket", proxyHeaderKeys("listener.ws.$name.")),
		refusedListenerKeys("wss", "WebSocket listeners over TLS", "MQTT over WebSocket and TLS",
			join(proxyHeaderKeys("listener.wss.$name."), tlsKeys("listener.wss.$name."))))
}

// Why a listener's option means nothing here.
const (
	noZone   = "EMQ 2.x read it and did nothing with it"
	noBuffer = "read buffers come from a pool, and only while there is something to read"
)

func tcpKeys() []Key {
	const s, p = "TCP listeners", "listener.tcp.$name"
	return join(
		supported(s,
			Key{Name: p, Kind: Address, Doc: "A listener for MQTT over TCP, and its address: a port on all IPv4 addresses, IP:port or [IPv6]:port. " +
				"There may be any number of them, each with a name of its own."},
			Key{Name: p + ".acceptors", Kind: Int, Default: "16", Doc: "Acceptors at work at one time, 1 to 1024. More take in a stampede of connections faster."},
			Key{
				Name: p + ".max_clients", Kind: Int, Default: "102400",
				Doc: "Connections at one time. One more is closed at once. Each takes a file descriptor and some kilobytes.",
			},
			Key{
				Name: p + ".backlog", Kind: Int, Default: "1024",
				Doc: "Connections the system keeps until they are accepted, 1 to 65535. More survives larger stampedes; the system may have a lower limit.",
			},
			Key{Name: p + ".send_timeout", Kind: Duration, Default: "15s", Doc: "How long a write to a client may be stuck; at least 100ms. Less gets rid of dead clients sooner, more is kind to slow ones."},
			Key{Name: p + ".send_timeout_close", Kind: Flag, Default: "on", Doc: "Close a connection whose write was stuck for so long."},
			Key{
				Name: p + ".recbuf", Kind: Bytesize, Default: "0",
				Doc: "The socket's receive buffer; 0 leaves it to the system, which adapts it. Less saves memory with many connections.",
			},
			Key{Name: p + ".sndbuf", Kind: Bytesize, Default: "0", Doc: "The socket's send buffer; 0 leaves it to the system."},
			Key{Name: p + ".nodelay", Kind: Bool, Default: "true", Doc: "Send small packets at once instead of waiting for more (TCP_NODELAY)."},
			Key{Name: p + ".reuseaddr", Kind: Bool, Default: "true", Doc: "Listen although old connections linger on the port (SO_REUSEADDR)."}),
		ignored(s, noZone, Key{Name: p + ".zone", Doc: "Name of a zone."}),
		ignored(s, noBuffer,
			Key{Name: p + ".buffer", Kind: Bytesize, Default: "4KB", Doc: "User-level buffer."},
			Key{Name: p + ".tune_buffer", Kind: Flag, Default: "off", Doc: "Adapt that buffer to the socket's."}),
		restrictionKeys(s, p),
	)
}

// restrictionKeys are options of a listener that restrict or rewrite what its
// clients do: an operator must not believe that they are at work.
func restrictionKeys(s, p string) []Key {
	return join(
		notYet(s, "access rules of listeners", accessRule(p)),
		notYet(s, "rate limits",
			Key{Name: p + ".rate_limit", Doc: "burst,rate in KB and KB/s: how fast a client is read."}),
		notYet(s, "mount points",
			Key{Name: p + ".mountpoint", Doc: "Prefix of all topics of the listener's clients."}),
		notYet(s, "PROXY protocol",
			Key{Name: p + ".proxy_protocol", Kind: Flag, Default: "off", Harmless: []string{"off", "false"}, Doc: "Expect the PROXY protocol."},
			Key{Name: p + ".proxy_protocol_timeout", Kind: Duration, Default: "3s", Doc: "How long its header may take."}),
		notYet(s, "user names from certificates",
			Key{Name: p + ".peer_cert_as_username", Kind: Enum, Values: []string{"cn", "dn"}, Doc: "Part of the certificate that is the user name."}),
	)
}

func accessRule(p string) Key {
	return Key{Name: p + ".access.$n", Harmless: []string{"allow all"}, Doc: "allow or deny, and an IP, a CIDR or all; the lowest number that matches decides."}
}

func apiKeys() []Key {
	const s, p = "HTTP API listeners", "listener.api.$name"
	return join(
		supported(s,
			Key{Name: p, Kind: Address, Doc: "A listener for the HTTP API, and its address. It must be a loopback address: " +
				"this version has no authentication for the API."},
			Key{Name: p + ".acceptors", Kind: Int, Default: "4", Doc: "Acceptors at work at one time, 1 to 1024."},
			Key{Name: p + ".max_clients", Kind: Int, Default: "64", Doc: "Connections at one time. One more is closed at once."},
			Key{Name: p + ".backlog", Kind: Int, Default: "512", Doc: "Connections the system keeps until they are accepted, 1 to 65535."},
			Key{Name: p + ".send_timeout", Kind: Duration, Default: "15s", Doc: "How long an answer may be stuck; at least 100ms."}),
		ignored(s, noZone, Key{Name: p + ".zone", Doc: "Name of a zone."}),
		ignored(s, noBuffer,
			Key{Name: p + ".buffer", Kind: Bytesize, Doc: "User-level buffer."},
			Key{Name: p + ".tune_buffer", Kind: Flag, Doc: "Adapt that buffer to the socket's."}),
		ignored(s, "the HTTP server sees to its sockets itself",
			Key{Name: p + ".send_timeout_close", Kind: Flag, Default: "on", Doc: "Close a connection whose write was stuck."},
			Key{Name: p + ".recbuf", Kind: Bytesize, Doc: "The socket's receive buffer."},
			Key{Name: p + ".sndbuf", Kind: Bytesize, Doc: "The socket's send buffer."},
			Key{Name: p + ".nodelay", Kind: Bool, Doc: "Send small packets at once."},
			Key{Name: p + ".reuseaddr", Kind: Bool, Doc: "Listen although old connections linger on the port."}),
		notYet(s, "access rules of listeners", accessRule(p)),
	)
}

// refusedListenerKeys are all keys of a type of listener which this version
// does not have. The line with the address is refused; the options are not
// mentioned one by one.
func refusedListenerKeys(typ, feature, what string, more []Key) []Key {
	s, p := feature, "listener."+typ+".$name"
	keys := join(
		[]Key{
			{Name: p, Kind: Address, Doc: "A listener for " + what + ", and its address."},
			{Name: p + ".acceptors", Kind: Int, Doc: "Acceptors at work at one time."},
			{Name: p + ".max_clients", Kind: Int, Doc: "Connections at one time."},
			{Name: p + ".backlog", Kind: Int, Doc: "Connections the system keeps until they are accepted."},
			{Name: p + ".send_timeout", Kind: Duration, Doc: "How long a write to a client may be stuck."},
			{Name: p + ".send_timeout_close", Kind: Flag, Doc: "Close a connection whose write was stuck for so long."},
			{Name: p + ".recbuf", Kind: Bytesize, Doc: "The socket's receive buffer."},
			{Name: p + ".sndbuf", Kind: Bytesize, Doc: "The socket's send buffer."},
			{Name: p + ".nodelay", Kind: Bool, Doc: "Send small packets at once."},
			{Name: p + ".reuseaddr", Kind: Bool, Doc: "Listen although old connections linger on the port."},
			{Name: p + ".zone", Doc: "Name of a zone."},
			{Name: p + ".buffer", Kind: Bytesize, Doc: "User-level buffer."},
			{Name: p + ".tune_buffer", Kind: Flag, Doc: "Adapt that buffer to the socket's."},
		},
		restrictionKeys(s, p), more)
	return notYet(s, feature, keys...)
}

func proxyHeaderKeys(p string) []Key {
	return []Key{
		{Name: p + "proxy_address_header", Doc: "HTTP header with the client's address."},
		{Name: p + "proxy_port_header", Doc: "HTTP header with the client's port."},
	}
}

// tlsKeys are the TLS options of a listener.
func tlsKeys(p string) []Key {
	return []Key{
		{Name: p + "handshake_timeout", Kind: Duration, Default: "15s", Doc: "How long the handshake may take."},
		{Name: p + "tls_versions", Kind: List, Doc: "Versions of TLS."},
		{Name: p + "keyfile", Kind: File, Default: "etc/certs/key.pem", Doc: "The private key."},
		{Name: p + "certfile", Kind: File, Default: "etc/certs/cert.pem", Doc: "The certificate."},
		{Name: p + "cacertfile", Kind: File, Doc: "Authorities that sign the certificates of clients."},
		{Name: p + "dhfile", Kind: File, Doc: "Diffie-Hellman parameters."},
		{Name: p + "verify", Kind: Enum, Values: []string{"verify_peer", "verify_none"}, Doc: "Whether clients must show a certificate."},
		{Name: p + "fail_if_no_peer_cert", Kind: Bool, Doc: "Refuse a client without one."},
		{Name: p + "ciphers", Kind: List, Doc: "Cipher suites."},
		{Name: p + "secure_renegotiate", Kind: Flag, Doc: "Secure renegotiation."},
		{Name: p + "reuse_sessions", Kind: Flag, Doc: "Resume TLS sessions."},
		{Name: p + "honor_cipher_order", Kind: Flag, Doc: "Prefer the order of the server."},
	}
}
