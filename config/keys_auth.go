package config

func authKeys() []Key {
	return join(
		supported("Authentication with SCRAM", Key{
			Name: "auth.scram.file", Kind: File,
			Doc: "A file of lines `name = password`: the users that may authenticate with SCRAM-SHA-256, an enhanced authentication of MQTT 5. " +
				"Empty: off. Only the node's user should be able to read it.",
		}),
		passwordFileKeys(), authHTTPKeys(), authLDAPKeys(), authSQLKeys(), authRedisKeys(), authMongoKeys(),
		notYet("Authentication with JWT", "authentication with JWT",
			Key{Name: "auth.jwt.secret", Secret: true, Doc: "The key of HS256, HS384 and HS512."},
			Key{Name: "auth.jwt.pubkey", Kind: File, Doc: "The key of RS* and ES*."}))
}

func passwordFileKeys() []Key {
	return join(
		notYet("Authentication with user names", "authentication with user names from the configuration",
			Key{Name: "auth.user.$n.username", Doc: "A user name."},
			Key{Name: "auth.user.$n.password", Secret: true, Doc: "Its password."},
			Key{Name: "auth.username.$name", Secret: true, Doc: "The password of the user (EMQ 2.0)."}),
		notYet("Authentication with client identifiers", "authentication with client identifiers from the configuration",
			Key{Name: "auth.client.$n.clientid", Doc: "A client identifier."},
			Key{Name: "auth.client.$n.password", Secret: true, Doc: "Its password."},
			Key{Name: "auth.client.$id", Secret: true, Doc: "The password of the client (EMQ 2.0)."}))
}

func authHTTPKeys() []Key {
	var keys []Key
	for _, req := range []struct{ name, what string }{
		{"auth_req", "authenticates"}, {"super_req", "knows super-users"}, {"acl_req", "decides on access"},
	} {
		p := "auth.http." + req.name
		keys = append(keys,
			Key{Name: p, Doc: "URL of the service that " + req.what + "."},
			Key{Name: p + ".method", Kind: Enum, Values: []string{"get", "post", "put"}, Doc: "Its HTTP method."},
			Key{Name: p + ".params", Kind: List, Doc: "Its parameters, name=%x."})
	}
	keys = append(keys, aclNoMatch("auth.http"))
	return notYet("Authentication with HTTP", "authentication with HTTP", keys...)
}

func aclNoMatch(p string) Key {
	return Key{Name: p + ".acl_nomatch", Kind: Enum, Values: []string{"allow", "deny"}, Doc: "What may be done when no rule matches (EMQ 2.0)."}
}

func passwordHash(p string) Key {
	return Key{Name: p + ".password_hash", Doc: "How passwords are stored: plain, md5, sha, sha256, salt,X, X,salt, salt,bcrypt or pbkdf2,…."}
}

func certKeys(p string) []Key {
	return []Key{
		{Name: p + ".certfile", Kind: File, Doc: "The certificate."},
		{Name: p + ".keyfile", Kind: File, Doc: "The private key."},
		{Name: p + ".cacertfile", Kind: File, Doc: "Authorities that sign the server's certificate."},
		{Name: p + ".verify", Kind: Enum, Values: []string{"verify_peer", "verify_none"}, Doc: "Check the server's certificate."},
		{Name: p + ".fail_if_no_peer_cert", Kind: Bool, Doc: "Refuse a server without one."},
	}
}

func authLDAPKeys() []Key {
	const p = "auth.ldap"
	return notYet("Authentication with LDAP", "authentication with LDAP", join([]Key{
		{Name: p + ".servers", Kind: List, Default: "127.0.0.1", Doc: "The servers."},
		{Name: p + ".port", Kind: Int, Default: "389", Doc: "Their port."},
		{Name: p + ".timeout", Kind: Duration, Default: "30", Doc: "How long an answer may take."},
		{Name: p + ".bind_dn", Doc: "Who binds."},
		{Name: p + ".bind_password", Secret: true, Doc: "With which password."},
		{Name: p + ".auth_dn", Doc: "Where users are."},
		{Name: p + ".user_dn", Doc: "The user's entry (EMQ 2.0)."},
		passwordHash(p),
		{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."},
	}, certKeys(p+".ssl"))...)
}

func authSQLKeys() []Key {
	sql := func(db, port string) []Key {
		p := "auth." + db
		return []Key{
			{Name: p + ".server", Kind: HostPort, Default: "127.0.0.1:" + port, Doc: "The server."},
			{Name: p + ".pool", Kind: Int, Default: "8", Doc: "Connections to it."},
			{Name: p + ".username", Doc: "Who connects."},
			{Name: p + ".password", Secret: true, Doc: "With which password."},
			{Name: p + ".database", Default: "mqtt", Doc: "The database."},
			{Name: p + ".auth_query", Doc: "Query for the password."},
			passwordHash(p),
			{Name: p + ".super_query", Doc: "Query for super-users."},
			{Name: p + ".acl_query", Doc: "Query for access rules."},
			aclNoMatch(p),
		}
	}
	const pg = "auth.pgsql"
	return join(
		notYet("Authentication with MySQL", "authentication with MySQL", sql("mysql", "3306")...),
		notYet("Authentication with PostgreSQL", "authentication with PostgreSQL", join(sql("pgsql", "5432"), []Key{
			{Name: pg + ".encoding", Default: "utf8", Doc: "Encoding of text."},
			{Name: pg + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."},
		}, certKeys(pg+".ssl_opts"))...))
}

func authRedisKeys() []Key {
	const p = "auth.redis"
	return notYet("Authentication with Redis", "authentication with Redis",
		Key{Name: p + ".server", Kind: HostPort, Default: "127.0.0.1:6379", Doc: "The server."},
		Key{Name: p + ".pool", Kind: Int, Default: "8", Doc: "Connections to it."},
		Key{Name: p + ".database", Kind: Int, Default: "0", Doc: "Number of the database."},
		Key{Name: p + ".password", Secret: true, Doc: "Password of the server."},
		Key{Name: p + ".auth_cmd", Default: "HMGET mqtt_user:%u password", Doc: "Command for the password."},
		passwordHash(p),
		Key{Name: p + ".super_cmd", Default: "HGET mqtt_user:%u is_superuser", Doc: "Command for super-users."},
		Key{Name: p + ".acl_cmd", Default: "HGETALL mqtt_acl:%u", Doc: "Command for access rules."},
		aclNoMatch(p))
}

func authMongoKeys() []Key {
	const p = "auth.mongo"
	keys := []Key{
		{Name: p + ".type", Kind: Enum, Values: []string{"single", "unknown", "sharded", "rs"}, Default: "single", Doc: "Kind of installation."},
		{Name: p + ".rs_set_name", Doc: "Name of the replica set."},
		{Name: p + ".server", Kind: List, Default: "127.0.0.1:27017", Doc: "The servers."},
		{Name: p + ".pool", Kind: Int, Default: "8", Doc: "Connections to them."},
		{Name: p + ".login", Aliases: []string{p + ".user"}, Doc: "Who connects."},
		{Name: p + ".password", Secret: true, Doc: "With which password."},
		{Name: p + ".auth_source", Default: "mqtt", Doc: "Database that knows the user."},
		{Name: p + ".database", Default: "mqtt", Doc: "The database."},
		{Name: p + ".ssl", Kind: Bool, Default: "false", Doc: "Use TLS."},
		{Name: p + ".w_mode", Kind: Enum, Values: []string{"unsafe", "safe"}, Doc: "Mode of writes."},
		{Name: p + ".r_mode", Kind: Enum, Values: []string{"master", "slave_ok"}, Doc: "Mode of reads."},
	}
	keys = append(keys, certKeys(p+".ssl_opts")...)
	for _, name := range []string{
		"pool_size", "max_overflow", "overflow_ttl", "overflow_check_period", "local_threshold_ms", "connect_timeout_ms",
		"socket_timeout_ms", "server_selection_timeout_ms", "wait_queue_timeout_ms", "heartbeat_frequency_ms", "min_heartbeat_frequency_ms",
	} {
		keys = append(keys, Key{Name: p + ".topology." + name, Kind: Int, Doc: "The driver's option " + name + "."})
	}
	keys = append(keys,
		Key{Name: p + ".auth_query.collection", Default: "mqtt_user", Doc: "Collection of the users."},
		Key{Name: p + ".auth_query.password_field", Default: "password", Doc: "Field of the password."},
		passwordHash(p+".auth_query"),
		Key{Name: p + ".auth_query.selector", Default: "username=%u", Doc: "Which user."},
		Key{Name: p + ".super_query", Kind: Flag, Default: "on", Doc: "Ask for super-users."},
		Key{Name: p + ".super_query.collection", Default: "mqtt_user", Doc: "Collection of the super-users."},
		Key{Name: p + ".super_query.super_field", Default: "is_superuser", Doc: "Field that marks one."},
		Key{Name: p + ".super_query.selector", Default: "username=%u", Doc: "Which user."},
		Key{Name: p + ".acl_query", Kind: Flag, Default: "on", Doc: "Ask for access rules."},
		Key{Name: p + ".acl_query.collection", Default: "mqtt_acl", Doc: "Collection of the rules."},
		Key{Name: p + ".acl_query.selector", Default: "username=%u", Doc: "Which rules."},
		Key{Name: p + ".acl_query.selector.$n", Doc: "Which rules, as alternatives."},
		aclNoMatch(p))
	return notYet("Authentication with MongoDB", "authentication with MongoDB", keys...)
}
