package config

// strategies pick the member of a shared group that gets a message.
var strategies = []string{"random", "round_robin", "hash_clientid", "hash_topic", "sticky"}

func mqttKeys() []Key {
	return join(accessKeys(), protocolKeys(), sessionKeys(), mqueueKeys(), brokerKeys())
}

func accessKeys() []Key {
	return supported("Access",
		Key{
			Name: "mqtt.allow_anonymous", Kind: Bool, Default: "true",
			Doc: "Let a client in about which no authentication module decides. As soon as there is one, see access.modules, and nothing sets this key, it is false.",
		},
		Key{
			Name: "mqtt.acl_nomatch", Kind: Enum, Values: []string{"deny", "allow"}, Default: "allow",
			Doc: "What may be done when no access rule matches.",
		},
		Key{
			Name: "mqtt.acl_deny_action", Kind: Enum, Values: []string{"ignore", "disconnect"}, Default: "ignore",
			Doc: "What happens to a client that publishes what it may not. ignore: the message is dropped; clients of MQTT 5 are told with the acknowledgement, " +
				"those of MQTT 3 are acknowledged all the same. disconnect: the connection ends.",
		},
		Key{
			Name: "mqtt.acl_file", Kind: File, Default: "etc/acl.conf",
			Doc: "The file of the access rules. It is read again when it changes; while it has a mistake the rules before stay. Empty: none. It need not exist if nothing sets this key.",
		},
		Key{
			Name: "acl.strict_wildcards", Kind: Bool, Default: "true",
			Doc: "Refuse a subscription as soon as its filter has a topic in common with one that is denied. " +
				"If false, which is nearer to EMQ, a filter is refused that is within what is denied, or covers all of it; one that only overlaps is granted, " +
				"and gets what is denied: +/a gets secret/a where secret/a/# is denied.",
		},
		Key{
			Name: "mqtt.cache_acl", Kind: Bool, Default: "true",
			Doc: "Keep the decisions about the topics of each connection. A change of the rules is noticed at once all the same.",
		},
		Key{
			Name: "mqtt.acl_cache_max_size", Kind: Int, Default: "32",
			Doc: "How many decisions of one connection are kept, 1 to 65535. Each takes its topic and some 50 bytes of memory.",
		},
		Key{
			Name: "mqtt.acl_cache_ttl", Kind: Duration, Default: "1m",
			Doc: "How long decisions, and rules from back ends, are kept, at least 1s. Less notices sooner what a back end does not announce, and asks it more often.",
		})
}

func protocolKeys() []Key {
	const s = "Protocol"
	const always = "statistics are always on, because they cost nothing to speak of"
	return join(
		supported(s,
			Key{
				Name: "mqtt.max_clientid_len", Kind: Int, Default: "1024",
				Doc: "The longest client identifier, in bytes, 23 to 65535. A longer one is refused.",
			},
			Key{
				Name: "mqtt.max_packet_size", Kind: Bytesize, Default: "64KB",
				Doc: "The largest packet a client may send, without its fixed header, 64 to 268435455 bytes. A larger one closes the connection. " +
					"Larger values let one client take that much memory.",
			},
			Key{
				Name: "mqtt.keepalive_backoff", Kind: Float, Default: "0.75",
				Doc: "A client which is silent for 2 × this × its keep alive is disconnected. MQTT asks for 0.75, that is 1.5 × the keep alive; " +
					"more forgives slow networks and notices dead clients later. 0.5 to 100.",
			},
			Key{
				Name: "mqtt.client.idle_timeout", Kind: Duration, Default: "30s", Aliases: []string{"mqtt.client_idle_timeout"},
				Doc: "How long a new connection may take to send CONNECT, and any packet to be complete. Less frees sockets sooner " +
					"from those who only open them; slow networks need more.",
			}),
		supported(s, version5Keys()...),
		supported(s, Key{
			Name: "mqtt.client.max_publish_rate", Kind: Int, Default: "0",
			Doc: "Messages per second that a client identifier may publish, on whichever connection. One that publishes faster is not read for a while, " +
				"which slows it down; nothing is lost. 0 is no limit.",
		}),
		ignored(s, always,
			Key{Name: "mqtt.client.enable_stats", Kind: Flag, Default: "off", Doc: "Statistics of each connection."}),
		supported(s,
			Key{Name: "mqtt.websocket_protocol_header", Kind: Flag, Default: "on", Doc: "Refuse a WebSocket whose request does not offer a sub-protocol of MQTT (Sec-WebSocket-Protocol)."}),
		ignored(s, "the garbage collector of Go needs no such help",
			Key{Name: "mqtt.conn.force_gc_count", Kind: Int, Default: "100", Doc: "Packets between collections of a connection's garbage."}),
	)
}

// version5Keys are what a client of MQTT 5 is told in CONNACK. Clients of 3.x
// are held to the same, but cannot be told.
func version5Keys() []Key {
	return []Key{
		{
			Name: "mqtt.server_keepalive", Kind: Duration, Default: "0",
			Doc: "The longest keep alive. A client of MQTT 5 that asks for more, or for none, is told to use this; 0 leaves it to the client.",
		},
		{
			Name: "mqtt.max_topic_alias", Kind: Int, Default: "32",
			Doc: "Topic aliases of a connection, for each direction, 0 to 65535. More save bytes where clients publish many topics, and cost memory for each.",
		},
		{
			Name: "mqtt.max_qos_allowed", Kind: Int, Default: "2",
			Doc: "The highest quality of service a client may publish with, and that a subscription is granted: 0, 1 or 2.",
		},
		{
			Name: "mqtt.retain_available", Kind: Bool, Default: "true",
			Doc: "Keep retained messages. If false, a client of MQTT 5 that publishes one is disconnected, and of one of 3.x it is delivered only.",
		},
		{
			Name: "mqtt.wildcard_subscription", Kind: Bool, Default: "true",
			Doc: "Allow + and # in subscriptions.",
		},
		{
			Name: "mqtt.shared_subscription", Kind: Bool, Default: "true",
			Doc: "Allow $share/<group>/ and $queue/.",
		},
		{
			Name: "mqtt.subscription_identifier", Kind: Bool, Default: "true",
			Doc: "Allow subscription identifiers.",
		},
		{
			Name: "mqtt.check_payload_format", Kind: Bool, Default: "false",
			Doc: "Refuse a payload that is not UTF-8 although its payload format indicator says so. It costs a look at every byte.",
		},
	}
}

func sessionKeys() []Key {
	const s = "Session"
	return join(
		supported(s,
			Key{
				Name: "mqtt.session.max_subscriptions", Kind: Int, Default: "0",
				Doc: "Subscriptions one session may hold; 0 is no limit. One more is refused in its SUBACK.",
			},
			Key{
				Name: "mqtt.session.upgrade_qos", Kind: Flag, Default: "off",
				Doc: "off delivers with the lower of the publisher's and the subscription's QoS, as MQTT asks; on with the higher.",
			},
			Key{
				Name: "mqtt.session.max_inflight", Kind: Int, Default: "100",
				Doc: "QoS 1 and 2 messages on their way to one client at a time; 0 is as many as there are packet identifiers, 65535. " +
					"More fills slow lines better; less keeps closer to the order after a retry, and uses less memory.",
			},
			Key{
				Name: "mqtt.session.retry_interval", Kind: Duration, Default: "20s",
				Doc: "After how long a message that was not acknowledged is sent again; 0 is never, else at least 1s. Less repairs losses sooner and sends more duplicates to slow clients.",
			},
			Key{
				Name: "mqtt.session.max_awaiting_rel", Kind: Int, Default: "1000",
				Doc: "QoS 2 messages of one client that may wait for their PUBREL; 0 is as many as there are packet identifiers, 65535. " +
					"More lets a client go further ahead, less saves memory.",
			},
			Key{
				Name: "mqtt.session.await_rel_timeout", Kind: Duration, Default: "30s",
				Doc: "After how long a QoS 2 message whose PUBREL does not come is given up, at least 1s. " +
					"Less frees memory sooner; a client that is away for longer may then be heard twice.",
			},
			Key{
				Name: "mqtt.session.expiry_interval", Kind: Duration, Default: "2h", Aliases: []string{"mqtt.session.expired_after"},
				Doc: "How long a session with clean session 0 outlives its connection. Longer keeps more messages for clients that are away, " +
					"and memory for those that never come back; 0 ends it at once.",
			},
			Key{
				Name: "mqtt.session.ignore_loop_deliver", Kind: Bool, Default: "false",
				Doc: "Do not deliver a message to the client that published it.",
			}),
		ignored(s, "statistics are always on, because they cost nothing to speak of",
			Key{
				Name: "mqtt.session.enable_stats", Kind: Flag, Default: "on", Aliases: []string{"mqtt.session.collect_interval"},
				Doc: "Statistics of each session.",
			}),
	)
}

func mqueueKeys() []Key {
	return supported("Message queue",
		Key{
			Name: "mqtt.mqueue.type", Kind: Enum, Values: []string{"simple", "priority"}, Default: "simple", Aliases: []string{"mqtt.queue.type"},
			Doc: "simple: first in, first out. priority: by mqtt.mqueue.priority.",
		},
		Key{
			Name: "mqtt.mqueue.priority", Kind: Priorities, Aliases: []string{"mqtt.queue.priority"},
			Doc: "topic=number, separated by commas, as in topic/1=10,topic/2=8. Numbers are 0 to 255, higher goes first; other topics count as 0.",
		},
		Key{
			Name: "mqtt.mqueue.max_length", Kind: Int, Default: "0", Aliases: []string{"mqtt.queue.max_length"}, infinity: true,
			Doc: "Messages a session keeps for a client that is away or slow; 0 leaves it to mqtt.mqueue.max_bytes. Beyond it a session of class memory drops the oldest; " +
				"for one of class disk, publishers are refused (MQTT 5) or held back (MQTT 3.x).",
		},
		Key{
			Name: "mqtt.mqueue.max_bytes", Kind: Bytesize, Default: "16MB",
			Doc: "The same in bytes, each message counted with its overhead; at least 1KB. The memory of a node must hold this for each slow or absent client " +
				"of class memory, the disk for those of class disk.",
		},
		Key{
			Name: "mqtt.mqueue.low_watermark", Kind: Percent, Default: "20%", Aliases: []string{"mqtt.queue.low_watermark"},
			Doc: "Fill of the queue, of mqtt.mqueue.max_length, at which its alarm is cleared.",
		},
		Key{
			Name: "mqtt.mqueue.high_watermark", Kind: Percent, Default: "60%", Aliases: []string{"mqtt.queue.high_watermark"},
			Doc: "Fill of the queue at which its alarm is raised.",
		},
		Key{
			Name: "mqtt.mqueue.store_qos0", Kind: Bool, Default: "true", Aliases: []string{"mqtt.queue.qos0"},
			Doc: "Keep QoS 0 messages too while a client is away.",
		})
}

func brokerKeys() []Key {
	const s = "Broker"
	return join(
		supported(s,
			Key{
				Name: "mqtt.broker.sys_interval", Kind: Duration, Default: "1m",
				Doc: "Period of the $SYS messages; 0 is never, else at least 1s. Less is more current and more traffic.",
			},
			Key{
				Name: "mqtt.pubsub.pool_size", Kind: Int, Default: "8",
				Doc: "Topic shards, the writers of the subscription tables, 1 to 1024. More spreads many SUBSCRIBEs over more processors; publishing does not depend on it.",
			},
			Key{
				Name: "mqtt.shared_subscription_strategy", Kind: Enum, Values: strategies, Default: "random",
				Doc: "Which member of a shared group gets a message: any (random), one after the other (round_robin), the same for one publisher " +
					"(hash_clientid), the same for one topic (hash_topic), or the same as long as it is there (sticky).",
			},
			Key{
				Name: "mqtt.plugins.etc_dir", Kind: File, Default: "etc/plugins/",
				Doc: "The folder whose *.conf files are read after this one. A key in one of them overrides this file. Files of plugins are read when those are loaded.",
			},
			Key{
				Name: "mqtt.plugins.loaded_file", Kind: File, Default: "data/loaded_plugins",
				Doc: "The file that lists the loaded plugins, one in a line with a dot behind it. They are loaded again when the node starts.",
			}),
		ignored(s, "topic shards are chosen by topic, and subscribing always waits for its shard",
			Key{Name: "mqtt.pubsub.by_clientid", Kind: Bool, Default: "true", Doc: "Spread the work by client."},
			Key{Name: "mqtt.pubsub.async", Kind: Bool, Default: "true", Doc: "Do not wait for a subscription to be entered."}),
		notYet(s, "bridges to other brokers",
			Key{Name: "mqtt.bridge.max_queue_len", Kind: Int, Default: "10000", Doc: "Messages a bridge keeps."},
			Key{Name: "mqtt.bridge.ping_down_interval", Kind: Duration, Default: "1s", Doc: "Period at which a lost bridge is tried."}),
	)
}

func retainerKeys() []Key {
	const s = "Retained messages"
	return join(
		supported(s,
			Key{
				Name: "retainer.max_message_num", Kind: Int, Default: "1000000", Aliases: []string{"module.retainer.max_message_num"},
				Doc: "Retained messages of a node; 0 is no limit. Beyond it messages on further topics are delivered, but not retained. " +
					"Each takes its size and some hundred bytes of memory.",
			},
			Key{
				Name: "retainer.max_payload_size", Kind: Bytesize, Default: "64KB", Aliases: []string{"module.retainer.max_payload_size"},
				Doc: "The largest payload that is retained; 0 is no limit. A message with a larger one is delivered, but not retained.",
			},
			Key{
				Name: "retainer.expiry_interval", Kind: Duration, Default: "0", Aliases: []string{"module.retainer.expired_after"},
				Doc: "How long a message is retained; 0 is for ever, else at least 1s.",
			},
			Key{
				Name: "retainer.storage_type", Kind: Enum, Values: []string{"ram", "disc", "disc_only"}, Default: "disc",
				Aliases: []string{"module.retainer.storage_type"},
				Doc:     "Where retained messages are kept: ram loses them with the process; disc and disc_only keep them on disk, and in memory for reading.",
			}),
	)
}
