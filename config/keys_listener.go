package config

func listenerKeys() []Key {
	const tls, ws, wss = "listener.ssl.$name", "listener.ws.$name", "listener.wss.$name"
	const sTLS, sWS, sWSS = "TLS listeners", "WebSocket listeners", "WebSocket listeners over TLS"
	return join(
		mqttListenerKeys("TCP listeners", "listener.tcp.$name", "MQTT over TCP", "16"),
		notYet("TCP listeners", "user names from the certificates that a proxy has seen",
			Key{Name: "listener.tcp.$name.peer_cert_as_username", Kind: Enum, Values: []string{"cn"}, Doc: "Part of the certificate that is the user name."}),
		mqttListenerKeys(sTLS, tls, "MQTT over TLS", "16"), tlsKeys(sTLS, tls),
		mqttListenerKeys(sWS, ws, "MQTT over WebSocket", "4"), webSocketKeys(sWS, ws),
		mqttListenerKeys(sWSS, wss, "MQTT over WebSocket and TLS", "4"), webSocketKeys(sWSS, wss), tlsKeys(sWSS, wss),
		apiKeys())
}

// Why a listener's option means nothing here.
const (
	noZone   = "EMQ 2.x read it and did nothing with it"
	noBuffer = "read buffers come from a pool, and only while there is something to read"
)

// mqttListenerKeys are the keys that all listeners for MQTT have.
func mqttListenerKeys(s, p, what, acceptors string) []Key {
	return join(
		supported(s,
			Key{Name: p, Kind: Socket, Doc: "A listener for " + what + ", and its address: a port on all IPv4 addresses, IP:port, [IPv6]:port, or " +
				"unix: and the path of a socket. There may be any number of them, each with a name of its own."},
			Key{Name: p + ".socket_mode", Default: "0660", Doc: "Who may connect to a Unix socket: the permissions of its file, in octal."},
			Key{Name: p + ".acceptors", Kind: Int, Default: acceptors, Doc: "Acceptors at work at one time, 1 to 1024. More take in a stampede of connections faster."},
			Key{
				Name: p + ".max_clients", Kind: Int, Default: "102400",
				Doc: "Connections at one time. One more is closed at once. Each takes a file descriptor and some kilobytes.",
			},
			Key{Name: p + ".max_conn_rate", Kind: Int, Default: "0", Doc: "New connections per second; those above it are closed at once. 0 is no limit."},
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
		restrictionKeys(s, p),
		sourceKeys(s, p),
		ignored(s, noZone, Key{Name: p + ".zone", Doc: "Name of a zone."}),
		ignored(s, noBuffer,
			Key{Name: p + ".buffer", Kind: Bytesize, Default: "4KB", Doc: "User-level buffer."},
			Key{Name: p + ".tune_buffer", Kind: Flag, Default: "off", Doc: "Adapt that buffer to the socket's."}),
	)
}

// restrictionKeys are options of a listener that restrict or rewrite what its
// clients do.
func restrictionKeys(s, p string) []Key {
	return join(
		supported(s,
			Key{Name: p + ".access.$n", Kind: Access, Default: "allow all", Doc: "allow or deny, and an IP, a CIDR or all. " +
				"The rule with the lowest number that matches the client's address decides; if none does, it may connect."},
			Key{Name: p + ".rate_limit", Kind: BurstRate, Doc: "burst,rate in KB and KB per second: how fast each client is read. " +
				"One that sends faster is not read for a while, which slows it down. No limit without it."},
			Key{Name: p + ".message_rate_limit", Kind: MessageRates, Doc: "burst,rate in messages and messages per second: how fast each client may publish. " +
				"One that is faster is not read for a while, which slows it down; nothing is lost. No limit without it."},
			Key{Name: p + ".total_message_rate_limit", Kind: MessageRates, Doc: "The same for all clients of the listener together."},
			Key{Name: p + ".mountpoint", Doc: "What is put before all topics its clients publish and subscribe to, and taken off again from what they receive. " +
				"%c is the client identifier and %u the user name; neither may then be empty or contain / + #. Access rules judge the topics as clients write them."},
			Key{Name: p + ".proxy_protocol", Kind: Flag, Default: "off", Doc: "Each connection begins with the header of the PROXY protocol, version 1 or 2, " +
				"and the client's address is the one in it. A connection without is closed."},
			Key{Name: p + ".proxy_protocol_timeout", Kind: Duration, Default: "3s", Doc: "How long that header may take; at least 100ms."},
			Key{Name: p + ".proxy_protocol_trusted", Kind: Networks, Doc: "IPs and CIDRs of the proxies: with proxy_protocol a connection from elsewhere is closed. " +
				"Without it everybody is believed, so that only proxies may be able to reach the listener."}),
	)
}

// sourceKeys are limits for each address from which clients come.
func sourceKeys(s, p string) []Key {
	const source = " of one IPv4 address, or one IPv6 network of 64 bits; 0 is no limit."
	return supported(s,
		Key{Name: p + ".max_clients_per_ip", Kind: Int, Default: "0", Doc: "Connections at one time" + source},
		Key{Name: p + ".max_conn_rate_per_ip", Kind: Int, Default: "0", Doc: "New connections per second" + source})
}

func webSocketKeys(s, p string) []Key {
	return supported(s,
		Key{Name: p + ".path", Kind: String, Default: "/mqtt", Doc: "Path of the WebSocket; any other one but / is answered with 404."},
		Key{Name: p + ".origins", Kind: List, Doc: "Which web pages may connect: scheme://host or scheme://host:port, where *. before a name stands for " +
			"all below it, or self for the page at / of the listener. Without it all may. Clients that are no browsers send no origin and are not concerned."},
		Key{Name: p + ".proxy_address_header", Doc: "HTTP header in which a proxy of proxy_protocol_trusted says the client's address, such as X-Forwarded-For. " +
			"Of a list the last one counts that is no such proxy. From others it is ignored."},
		Key{Name: p + ".proxy_port_header", Doc: "HTTP header in which it says the client's port, such as X-Forwarded-Port."})
}

// tlsKeys are the TLS options of a listener.
func tlsKeys(s, p string) []Key {
	return join(
		supported(s,
			Key{Name: p + ".handshake_timeout", Kind: Duration, Default: "15s", Doc: "How long the TLS handshake may take; at least 100ms. The time for CONNECT begins behind it."},
			Key{Name: p + ".tls_versions", Kind: List, Default: "tlsv1.3,tlsv1.2", Doc: "Versions of TLS: tlsv1.3, tlsv1.2, tlsv1.1, tlsv1. Those before 1.2 are not secure. There may be no gap between them."},
			Key{Name: p + ".keyfile", Kind: File, Default: "etc/certs/key.pem", Doc: "The private key, PEM. If neither this nor certfile is set and the files do not exist, " +
				"the node makes a key and a certificate of its own, which no client trusts unless it is told to."},
			Key{Name: p + ".certfile", Kind: File, Default: "etc/certs/cert.pem", Doc: "The certificate and those of the authorities between it and the root, PEM. " +
				"Both files are read again when they change, without touching connections."},
			Key{Name: p + ".cacertfile", Kind: File, Doc: "Authorities that sign the certificates of clients, PEM. Needed for verify_peer."},
			Key{Name: p + ".verify", Kind: Enum, Values: []string{"verify_none", "verify_peer"}, Default: "verify_none", Doc: "Whether clients are asked for a certificate, " +
				"which must then be valid."},
			Key{Name: p + ".fail_if_no_peer_cert", Kind: Bool, Default: "false", Doc: "With verify_peer, refuse a client that has none."},
			Key{Name: p + ".crlfile", Kind: File, Doc: "Certificates of clients that are refused: lists of what the authorities of cacertfile have revoked, PEM or DER. " +
				"It is read again when it changes. One that should have been replaced by now is still used, with a warning in the log. Needs verify_peer."},
			Key{Name: p + ".ocsp_stapling", Kind: Flag, Default: "off", Doc: "Ask the responder that certfile names whether the certificate is good, in the background, " +
				"and give its answer to clients with the certificate. certfile must hold the authority's certificate, too."},
			Key{Name: p + ".ocsp_staple_file", Kind: File, Doc: "Give clients the answer in this file instead, DER, which something else keeps fresh. It is read again when it changes."},
			Key{Name: p + ".peer_cert_as_username", Kind: Enum, Values: []string{"none", "cn", "dn"}, Default: "none", Doc: "Part of the client's certificate, " +
				"common name or distinguished name, that is its user name instead of the one in CONNECT. Needs verify_peer."},
			Key{Name: p + ".ciphers", Kind: List, Doc: "Cipher suites of TLS 1.2 and before, as OpenSSL or as IANA names them; without it the secure ones. TLS 1.3 has its own."},
			Key{Name: p + ".reuse_sessions", Kind: Flag, Default: "on", Doc: "Resume TLS sessions by tickets, which makes handshakes cheaper."}),
		ignored(s, "Go has no cipher suites with finite-field Diffie-Hellman",
			Key{Name: p + ".dhfile", Kind: File, Doc: "Diffie-Hellman parameters."}),
		ignored(s, "Go's server never renegotiates",
			Key{Name: p + ".secure_renegotiate", Kind: Flag, Doc: "Secure renegotiation."}),
		ignored(s, "Go orders cipher suites itself, by what the hardware of both sides is good at",
			Key{Name: p + ".honor_cipher_order", Kind: Flag, Doc: "Prefer the order of the server."}),
	)
}

func apiKeys() []Key {
	const s, p = "HTTP API listeners", "listener.api.$name"
	return join(
		supported(s,
			Key{Name: p, Kind: Address, Doc: "A listener for the HTTP API, and its address. It is plain HTTP: where " +
				"others reach it, passwords go over the wire as they are, and the log warns of it; put a proxy with TLS before it."},
			Key{Name: p + ".acceptors", Kind: Int, Default: "4", Doc: "Acceptors at work at one time, 1 to 1024."},
			Key{Name: p + ".max_clients", Kind: Int, Default: "64", Doc: "Connections at one time. One more is closed at once."},
			Key{Name: p + ".backlog", Kind: Int, Default: "512", Doc: "Connections the system keeps until they are accepted, 1 to 65535."},
			Key{Name: p + ".send_timeout", Kind: Duration, Default: "15s", Doc: "How long an answer may be stuck; at least 100ms."},
			Key{Name: p + ".access.$n", Kind: Access, Default: "allow all", Doc: "allow or deny, and an IP, a CIDR or all. " +
				"The rule with the lowest number that matches the address decides; if none does, it may connect."}),
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
	)
}
