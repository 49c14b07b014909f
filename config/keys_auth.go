package config

func authKeys() []Key {
	return join(
		chainKeys(),
		supported("Authentication with SCRAM", Key{
			Name: "auth.scram.file", Kind: File,
			Doc: "A file of lines `name = password`: the users that may authenticate with SCRAM-SHA-256, an enhanced authentication of MQTT 5. " +
				"Empty: off. Only the node's user should be able to read it.",
		}),
		builtInKeys(), authHTTPKeys(), authLDAPKeys(), authMySQLKeys(), authPgSQLKeys(), authRedisKeys(), authMongoKeys(), authJWTKeys())
}

func chainKeys() []Key {
	return supported("Authentication",
		Key{
			Name: "access.modules", Kind: List, Default: autoModules,
			Doc: "The authentication modules, in the order in which they are asked: some of " + accessModuleNames() + ". The first that allows or denies decides. " +
				"auto: those of which a key is set, in the order of their first keys. Empty: none.",
		},
		Key{
			Name: "access.poll_interval", Kind: Duration, Default: "0",
			Doc: "How often all clients are judged anew, for back ends that cannot say when something changed; 0 is never, else at least 1s. " +
				"Each time every client costs as many queries as its CONNECT did. Without it, rules are asked for again when they are older than mqtt.acl_cache_ttl.",
		},
		Key{
			Name: "access.backoff.after", Kind: Int, Default: "20",
			Doc: "How many wrong passwords of one source address, or for one user name, are free before it must wait; 0 switches the protection off.",
		},
		Key{Name: "access.backoff.first", Kind: Duration, Default: "1s", Doc: "The first wait, at least 100ms. It doubles with each further wrong password."},
		Key{Name: "access.backoff.longest", Kind: Duration, Default: "5m", Doc: "The longest wait, at least 1s. After as long a silence all is forgotten."},
		Key{Name: "access.backoff.size", Kind: Int, Default: "100000", Doc: "How many addresses and names are remembered, at least 16. Each takes some hundred bytes of memory."})
}

func builtInKeys() []Key {
	return join(
		supported("Authentication with source addresses",
			Key{Name: "auth.source.$n", Kind: Source, Doc: "allow, deny or user:NAME, and an IP, a CIDR or all. The rules are tried by their numbers; the first that fits decides, and user:NAME says who the client is. " +
				"Where none fits the next module decides."}),
		supported("Authentication with user names",
			Key{Name: "auth.user.$n.username", Doc: "A user name. It is entered into the node's own users if it is not there; commands and the HTTP API change them at run time."},
			Key{Name: "auth.user.$n.password", Secret: true, Doc: "Its password."},
			Key{Name: "auth.username.$name", Secret: true, Doc: "The password of the user (EMQ 2.0)."},
			Key{
				Name: "auth.user.password_hash", Default: "salt,sha256",
				Doc: "How the node keeps passwords of its own users and clients: salt,sha256, bcrypt, argon2id or pbkdf2,sha256,ITERATIONS,32. " +
					"The slower ones are harder to guess from a stolen store, and cost that much processor time at each CONNECT.",
			}),
		supported("Authentication with client identifiers",
			Key{Name: "auth.client.$n.clientid", Doc: "A client identifier, as with user names."},
			Key{Name: "auth.client.$n.password", Secret: true, Doc: "Its password."},
			Key{Name: "auth.client.$id", Secret: true, Doc: "The password of the client (EMQ 2.0)."}),
		supported("Authentication with certificates",
			Key{
				Name: "auth.x509.subject", Kind: Enum, Values: []string{"cn", "dn"}, Default: "cn",
				Doc: "What of a client's certificate is its user name: cn, the common name, or dn, the whole subject. A client with a certificate that its listener has verified needs no password then.",
			}),
		supported("Authentication with cookies",
			Key{Name: "auth.cookie.name", Default: "emqttd", Doc: "Name of the cookie in the request that becomes a WebSocket. A service of yours issues it; its form is in the user guide."},
			Key{Name: "auth.cookie.secret", Secret: true, Doc: "The key that signs cookies (HMAC-SHA-256), at least 16 bytes."},
			Key{Name: "auth.cookie.origins", Kind: List, Doc: "Origins, such as https://www.example.com, whose pages may open a WebSocket with the cookie. Pages of the node's own host always may."}))
}

// backendKeys are those that all modules which ask somebody else have.
func backendKeys(p, timeout string) []Key {
	return []Key{
		{Name: p + ".pool", Kind: Int, Default: "8", Doc: "Connections to it, and calls at one time, 1 to 4096. Calls per second are at most this divided by the time of one call."},
		{Name: p + ".queue", Kind: Int, Default: "1000", Doc: "Calls that may wait for a connection; one more is refused at once."},
		{Name: p + ".timeout", Kind: Duration, Default: timeout, Doc: "How long an answer may take, with its retries, at least 10ms."},
		{Name: p + ".retries", Kind: Int, Default: "1", Doc: "How often a call that failed is made again, 0 to 10."},
		{Name: p + ".breaker_failures", Kind: Int, Default: "5", Doc: "After how many failures in a row it is left alone for a while."},
		{Name: p + ".breaker_delay", Kind: Duration, Default: "1s", Doc: "How long that is, at least 10ms; then one call tries."},
		{
			Name: p + ".on_error", Kind: Enum, Values: []string{"deny", "ignore"}, Default: "deny",
			Doc: "What happens while it cannot answer: deny refuses clients (server unavailable), ignore lets the next module decide.",
		},
	}
}

func aclNoMatch(p string) Key {
	return Key{
		Name: p + ".acl_nomatch", Kind: Enum, Values: []string{"ignore", "allow", "deny"}, Default: "ignore",
		Doc: "What may be done when none of its rules matches (EMQ 2.0). ignore: the next module decides.",
	}
}

func passwordHash(p, scheme string) Key {
	return Key{
		Name: p + ".password_hash", Default: scheme,
		Doc: "How passwords are stored: plain, md5, sha, sha256, salt,X, X,salt, bcrypt, argon2id or pbkdf2,MAC,ITERATIONS,LENGTH.",
	}
}

// certKeys are the TLS options of a connection to a back end.
func certKeys(section, p string) []Key {
	return join(
		supported(section,
			Key{Name: p + ".certfile", Kind: File, Doc: "The node's certificate, where the server asks for one."},
			Key{Name: p + ".keyfile", Kind: File, Doc: "Its private key."},
			Key{Name: p + ".cacertfile", Kind: File, Doc: "Authorities that sign the server's certificate. Empty: those of the system."},
			Key{
				Name: p + ".verify", Kind: Enum, Values: []string{"verify_peer", "verify_none"}, Default: "verify_peer",
				Doc: "Check the server's certificate. With verify_none whoever is between can read passwords.",
			}),
		ignored(section, "a server without a certificate cannot speak TLS",
			Key{Name: p + ".fail_if_no_peer_cert", Kind: Bool, Doc: "Refuse a server without one."}))
}

func authHTTPKeys() []Key {
	const p, s = "auth.http", "Authentication with HTTP"
	var keys []Key
	for _, req := range []struct{ name, what, method, params string }{
		{"auth_req", "authenticates", "post", "clientid=%c,username=%u,password=%P"},
		{"super_req", "knows super-users", "post", "clientid=%c,username=%u"},
		{"acl_req", "decides on access", "get", "access=%A,username=%u,clientid=%c,ipaddr=%a,topic=%t"},
	} {
		p := p + "." + req.name
		keys = append(keys,
			Key{Name: p, Doc: "URL of the service that " + req.what + ", such as http://127.0.0.1:8080/mqtt/auth. Empty: it is not asked."},
			Key{Name: p + ".method", Kind: Enum, Values: []string{"get", "post", "put"}, Default: req.method, Doc: "Its HTTP method."},
			Key{Name: p + ".params", Kind: List, Default: req.params, Doc: "Its parameters, name=%x."})
	}
	keys = append(keys,
		Key{Name: p + ".format", Kind: Enum, Values: []string{"form", "json"}, Default: "form", Doc: "How parameters are sent with post and put."},
		Key{Name: p + ".headers", Kind: List, Doc: "Headers of the request that became a WebSocket which are passed on, such as Cookie."},
		aclNoMatch(p))
	return join(supported(s, append(keys, backendKeys(p, "5s")...)...), certKeys(s, p+".ssl_opts"))
}

func authLDAPKeys() []Key {
	const p, s = "auth.ldap", "Authentication with LDAP"
	return join(
		supported(s, append(backendKeys(p, "30s"),
			Key{Name: p + ".servers", Kind: List, Default: "127.0.0.1", Doc: "The servers; the next one is asked when one does not answer."},
			Key{Name: p + ".port", Kind: Int, Default: "389", Doc: "Their port."},
			Key{Name: p + ".bind_dn", Doc: "Who binds to search."},
			Key{Name: p + ".bind_password", Secret: true, Doc: "With which password."},
			Key{Name: p + ".user_dn", Doc: "The user's entry, such as uid=%u,ou=People,dc=example,dc=com (EMQ 2.0). If it is set, the client's password binds to it and nothing is searched."},
			Key{Name: p + ".auth_dn", Doc: "Where users are searched, such as cn=%u,ou=auth,dc=emqtt,dc=com."},
			Key{Name: p + ".filter", Default: "(username=%u)", Doc: "Which entry is the user's."},
			Key{Name: p + ".password_attribute", Default: "password", Doc: "The attribute with the password. Empty: the client's password binds to the entry that was found."},
			passwordHash(p, "sha256"),
			Key{Name: p + ".super_attribute", Doc: "The attribute that marks a super-user by true or 1."},
			Key{Name: p + ".publish_attribute", Doc: "The attribute with topics that the user may publish to."},
			Key{Name: p + ".subscribe_attribute", Doc: "The attribute with topics that the user may subscribe to."},
			Key{Name: p + ".pubsub_attribute", Doc: "The attribute with topics that the user may do both with."},
			aclNoMatch(p),
			Key{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS from the start (ldaps)."},
			Key{Name: p + ".start_tls", Kind: Bool, Default: "false", Doc: "Use TLS on the plain port (StartTLS)."})...),
		certKeys(s, p+".ssl"))
}

// sqlKeys are what MySQL and PostgreSQL have in common. The shipped tables are
// those of EMQ.
func sqlKeys(p, port, user string) []Key {
	return append(backendKeys(p, "5s"),
		Key{Name: p + ".server", Kind: HostPort, Default: "127.0.0.1:" + port, Doc: "The server."},
		Key{Name: p + ".username", Default: user, Doc: "Who connects."},
		Key{Name: p + ".password", Secret: true, Doc: "With which password."},
		Key{Name: p + ".database", Default: "mqtt", Doc: "The database."},
		Key{
			Name: p + ".auth_query", Default: "select password from mqtt_user where username = '%u' limit 1",
			Doc: "Query for the password, or the password and its salt. A quoted placeholder is a parameter of a prepared statement, never part of its text.",
		},
		passwordHash(p, "sha256"),
		Key{Name: p + ".super_query", Default: "select is_superuser from mqtt_user where username = '%u' limit 1", Doc: "Query for super-users. Empty: not asked."},
		Key{
			Name: p + ".acl_query",
			Default: "select allow, ipaddr, username, clientid, access, topic from mqtt_acl where ipaddr = '%a' or username = '%u' or " +
				"username = '$all' or clientid = '%c'",
			Doc: "Query for access rules. The last row is judged first, as with EMQ. Empty: not asked.",
		},
		aclNoMatch(p),
		Key{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."})
}

func authMySQLKeys() []Key {
	const p, s = "auth.mysql", "Authentication with MySQL"
	return join(supported(s, sqlKeys(p, "3306", "")...), certKeys(s, p+".ssl_opts"))
}

func authPgSQLKeys() []Key {
	const p, s = "auth.pgsql", "Authentication with PostgreSQL"
	return join(
		supported(s, append(sqlKeys(p, "5432", "root"),
			Key{Name: p + ".encoding", Default: "utf8", Doc: "Encoding of text."},
			Key{
				Name: p + ".watch_channel", Default: "mqtt_access",
				Doc: "The channel on which NOTIFY says that users or rules changed; its payload is {\"username\":\"NAME\"} or {\"clientid\":\"ID\"}, anything else for everybody. Empty: nothing is listened to.",
			})...),
		certKeys(s, p+".ssl_opts"))
}

func authRedisKeys() []Key {
	const p, s = "auth.redis", "Authentication with Redis"
	return join(
		supported(s, append(backendKeys(p, "5s"),
			Key{Name: p + ".type", Kind: Enum, Values: []string{"single", "sentinel", "cluster"}, Default: "single", Doc: "Kind of installation."},
			Key{Name: p + ".server", Kind: HostPorts, Default: "127.0.0.1:6379", Doc: "The server; the sentinels, or some servers of a cluster, separated by commas."},
			Key{Name: p + ".sentinel", Default: "mymaster", Doc: "What sentinels call the master."},
			Key{Name: p + ".database", Kind: Int, Default: "0", Doc: "Number of the database."},
			Key{Name: p + ".username", Doc: "Who connects; empty is the default user."},
			Key{Name: p + ".password", Secret: true, Doc: "Password of the server."},
			Key{Name: p + ".auth_cmd", Default: "HMGET mqtt_user:%u password", Doc: "Command for the password, or the password and its salt."},
			passwordHash(p, "plain"),
			Key{Name: p + ".super_cmd", Default: "HGET mqtt_user:%u is_superuser", Doc: "Command for super-users. Empty: not asked."},
			Key{Name: p + ".acl_cmd", Default: "HGETALL mqtt_acl:%u", Doc: "Command for access rules. Empty: not asked."},
			aclNoMatch(p),
			Key{
				Name: p + ".watch", Kind: Flag, Default: "on",
				Doc: "Listen to the notifications of changed keys. The server sends them if its notify-keyspace-events has K, g, h and $.",
			},
			Key{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."})...),
		certKeys(s, p+".ssl_opts"))
}

func authMongoKeys() []Key {
	const p, s = "auth.mongo", "Authentication with MongoDB"
	const pooled = "auth.mongo.pool and auth.mongo.queue say so"
	option := func(name string) Key {
		return Key{Name: p + ".topology." + name, Kind: Int, Doc: "The driver's option " + name + "."}
	}
	driver := func(name string) Key {
		k := option(name)
		k.Default, k.Doc = "0", "The driver's option "+name+"; 0 leaves it to the driver."
		return k
	}
	return join(
		supported(s, append(backendKeys(p, "5s"),
			Key{Name: p + ".type", Kind: Enum, Values: []string{"single", "unknown", "sharded", "rs"}, Default: "single", Doc: "Kind of installation."},
			Key{Name: p + ".rs_set_name", Doc: "Name of the replica set."},
			Key{Name: p + ".server", Kind: HostPorts, Default: "127.0.0.1:27017", Doc: "The servers."},
			Key{Name: p + ".login", Aliases: []string{p + ".user"}, Doc: "Who connects."},
			Key{Name: p + ".password", Secret: true, Doc: "With which password."},
			Key{Name: p + ".auth_source", Default: "mqtt", Doc: "Database that knows who connects."},
			Key{Name: p + ".database", Default: "mqtt", Doc: "The database."},
			Key{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."},
			Key{Name: p + ".r_mode", Kind: Enum, Values: []string{"master", "slave_ok"}, Default: "master", Doc: "Where to read."},
			driver("local_threshold_ms"), driver("connect_timeout_ms"), driver("server_selection_timeout_ms"), driver("heartbeat_frequency_ms"),
			Key{Name: p + ".auth_query.collection", Default: "mqtt_user", Doc: "Collection of the users."},
			Key{Name: p + ".auth_query.password_field", Default: "password", Doc: "Field of the password, or password,salt."},
			passwordHash(p+".auth_query", "sha256"),
			Key{Name: p + ".auth_query.selector", Default: "username=%u", Doc: "Which user; several conditions are separated by commas, and all must hold."},
			Key{Name: p + ".super_query", Kind: Flag, Default: "on", Doc: "Ask for super-users."},
			Key{Name: p + ".super_query.collection", Default: "mqtt_user", Doc: "Collection of the super-users."},
			Key{Name: p + ".super_query.super_field", Default: "is_superuser", Doc: "Field that marks one."},
			Key{Name: p + ".super_query.selector", Default: "username=%u", Doc: "Which user."},
			Key{Name: p + ".acl_query", Kind: Flag, Default: "on", Doc: "Ask for access rules."},
			Key{Name: p + ".acl_query.collection", Default: "mqtt_acl", Doc: "Collection of the rules."},
			Key{Name: p + ".acl_query.selector", Default: "username=%u", Doc: "Which rules."},
			Key{Name: p + ".acl_query.selector.$n", Doc: "Which rules, as alternatives; they replace auth.mongo.acl_query.selector."},
			aclNoMatch(p))...),
		ignored(s, "the node never writes there",
			Key{Name: p + ".w_mode", Kind: Enum, Values: []string{"unsafe", "safe"}, Doc: "Mode of writes."}),
		ignored(s, pooled, option("pool_size"), option("max_overflow"), option("overflow_ttl"), option("overflow_check_period"), option("wait_queue_timeout_ms")),
		ignored(s, "auth.mongo.timeout bounds a call, and auth.mongo.topology.heartbeat_frequency_ms the rest",
			option("socket_timeout_ms"), option("min_heartbeat_frequency_ms")),
		certKeys(s, p+".ssl_opts"))
}

func authJWTKeys() []Key {
	const p, s = "auth.jwt", "Authentication with JWT"
	return join(
		supported(s, append(backendKeys(p, "5s"),
			Key{Name: p + ".secret", Secret: true, Doc: "The key of HS256, HS384 and HS512."},
			Key{Name: p + ".pubkey", Kind: File, Doc: "The key of RS* and ES*."},
			Key{Name: p + ".jwks", Doc: "URL of a set of keys (JWKS)."},
			Key{Name: p + ".jwks_refresh", Kind: Duration, Default: "5m", Doc: "How often it is read again, at least 1s."},
			Key{Name: p + ".from", Kind: Enum, Values: []string{"password", "username"}, Default: "password", Doc: "Where the token is."},
			Key{Name: p + ".claims", Kind: List, Doc: "Claims that a token must have, as in sub=%u,client=%c."},
			Key{Name: p + ".acl_claim", Default: "acl", Doc: "The claim with access rules. Empty: none."},
			Key{Name: p + ".username_claim", Doc: "The claim with the user name. Empty: it is the client's own."},
			Key{Name: p + ".super_claim", Doc: "The claim that marks a super-user by true. Empty: none."})...),
		certKeys(s, p+".ssl_opts"))
}
