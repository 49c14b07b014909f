package config

// ignored makes the keys of one section that mean nothing here, for one reason.
func ignored(section, reason string, keys ...Key) []Key {
	for i := range keys {
		keys[i].Section, keys[i].Status, keys[i].Reason = section, Ignored, reason
	}
	return keys
}

// notYet makes the keys of a feature which this version does not have.
func notYet(section, feature string, keys ...Key) []Key {
	for i := range keys {
		keys[i].Section, keys[i].Status, keys[i].Reason = section, NotYet, feature
	}
	return keys
}

// ofPlugin makes the keys of a plugin's own file.
func ofPlugin(section, plugin string, keys ...Key) []Key {
	for i := range keys {
		keys[i].Section, keys[i].Status, keys[i].Reason = section, OfPlugin, plugin
	}
	return keys
}

// supported makes the keys of one section that do what they say.
func supported(section string, keys ...Key) []Key {
	for i := range keys {
		keys[i].Section = section
	}
	return keys
}

// join strings groups of keys together.
func join(groups ...[]Key) []Key {
	var all []Key
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func nodeKeys() []Key {
	const s = "Node"
	const vm = "there is no Erlang VM to tune"
	const ports = "one port carries all traffic between nodes: node.dist_listen"
	return join(
		supported(s,
			Key{
				Name: "node.name", Default: "emq@127.0.0.1",
				Doc: "The node's name, name@host, which must be unique in the cluster. It appears in $SYS topics and in all output.",
			},
			Key{
				Name: "node.cookie", Default: shippedCookie, Secret: true,
				Doc: "The secret which nodes and emqttd_ctl share. Whoever knows it and reaches node.dist_listen controls the node: " +
					"the shipped one is refused unless node.dist_listen is a loopback address.",
			},
			Key{
				Name: "node.data_dir", Kind: File, Default: "data",
				Doc: "The folder of what must survive a restart. A relative path starts at the node's home, the folder that holds this etc/.",
			},
			Key{
				Name: "node.memory_limit", Kind: Bytesize, Default: "0",
				Doc: "How much memory the node keeps below, at least 32MB. Before there is too little it drops messages of QoS 0, then reads publishers slowly, " +
					"then refuses new clients. 0 is what GOMEMLIMIT says, or else three quarters of what the container or the machine has.",
			},
			Key{
				Name: "node.reader", Kind: Enum, Values: []string{"auto", "epoll", "goroutine"}, Default: "auto",
				Doc: "Who waits for what clients of plain TCP send: a goroutine for each, or epoll for all of them, which takes half the memory " +
					"and is there on Linux only; auto is epoll where it is. TLS, WebSocket and listeners with a rate_limit always have goroutines.",
			},
			Key{
				Name: "node.dist_listen", Kind: Address, Default: "127.0.0.1:6369",
				Doc: "Where other nodes and emqttd_ctl are served. Each node of one machine needs a port of its own.",
			},
			Key{
				Name: "node.dist_advertise", Kind: HostPort, Default: "{{ node.dist_listen }}",
				Doc: "The address by which others reach node.dist_listen, where the two differ: behind NAT, in a container, " +
					"or when node.dist_listen is 0.0.0.0. The default is node.dist_listen.",
			}),
		ignored(s, vm,
			Key{Name: "node.smp", Kind: Enum, Values: []string{"enable", "auto", "disable"}, Default: "auto", Doc: "Use several processors."},
			Key{Name: "node.heartbeat", Kind: Flag, Doc: "Let a watchdog restart the VM."},
			Key{Name: "node.kernel_poll", Kind: Flag, Default: "on", Doc: "Poll with epoll or kqueue."},
			Key{Name: "node.async_threads", Kind: Int, Default: "32", Doc: "Threads for file access."},
			Key{Name: "node.process_limit", Kind: Int, Default: "256000", Doc: "Number of Erlang processes."},
			Key{Name: "node.dist_buffer_size", Kind: Bytesize, Default: "8MB", Doc: "Buffer of the Erlang distribution."},
			Key{Name: "node.max_ets_tables", Kind: Int, Default: "256000", Doc: "Number of ETS tables."},
			Key{Name: "node.fullsweep_after", Kind: Int, Default: "1000", Doc: "Generations between full garbage collections."},
			Key{Name: "node.crash_dump", Kind: File, Default: "log/crash.dump", Doc: "File of the VM's crash dump."}),
		ignored(s, "the limit of file descriptors is raised as far as the system allows",
			Key{Name: "node.max_ports", Kind: Int, Default: "65536", Doc: "Number of sockets and files."}),
		ignored(s, "a silent peer is noticed by heartbeats, after 8 s",
			Key{Name: "node.dist_net_ticktime", Kind: Duration, Default: "60s", Doc: "Silence after which a peer counts as down."}),
		ignored(s, ports,
			Key{Name: "node.dist_listen_min", Kind: Int, Default: "6369", Doc: "First port for other nodes."},
			Key{Name: "node.dist_listen_max", Kind: Int, Default: "6379", Doc: "Last port for other nodes."}),
		notYet(s, "options of Erlang's TLS; cluster.tls.certfile switches TLS between nodes on",
			Key{
				Name: "node.proto_dist", Kind: Enum, Values: []string{"inet_tcp", "inet6_tcp", "inet_tls"}, Default: "inet_tcp",
				Harmless: []string{"inet_tcp", "inet6_tcp"}, Doc: "Transport between nodes. IPv6 is chosen by node.dist_listen, TLS by cluster.tls.certfile.",
			},
			Key{Name: "node.ssl_dist_optfile", Kind: File, Doc: "Options of TLS between nodes."}),
	)
}

var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency", "none"}

func logKeys() []Key {
	const s = "Log"
	const rotated = "Size at which the file is rotated; 0 is never."
	const kept = "Number of rotated files that are kept."
	return join(
		supported(s,
			Key{Name: "log.dir", Kind: File, Default: "log", Doc: "The folder of the log files."},
			Key{
				Name: "log.console", Kind: Enum, Values: []string{"off", "file", "console", "both"}, Default: "console",
				Doc: "Where the log of log.console.level goes: nowhere (off), to log.console.file (file), to the console, which is " +
					"standard error in the foreground and log/emqttd.log after `emqttd start` (console), or to both.",
			},
			Key{
				Name: "log.console.level", Kind: Enum, Values: levels, Default: "error",
				Doc: "The least severe level of that log. A lower level explains more and costs more.",
			},
			Key{Name: "log.console.file", Kind: File, Default: "{{ log.dir }}/console.log", Doc: "File for log.console = file or both."},
			Key{Name: "log.console.size", Kind: Bytesize, Default: "10MB", Doc: rotated},
			Key{Name: "log.console.count", Kind: Int, Default: "5", Doc: kept},
			Key{Name: "log.info.file", Kind: File, Doc: "One more file, with all from level info up. Empty: no such file."},
			Key{Name: "log.info.size", Kind: Bytesize, Default: "10MB", Doc: rotated},
			Key{Name: "log.info.count", Kind: Int, Default: "5", Doc: kept},
			Key{
				Name: "log.error.file", Kind: File, Default: "{{ log.dir }}/error.log",
				Doc: "A file with all from level error up. Empty: no such file.",
			},
			Key{Name: "log.error.size", Kind: Bytesize, Default: "10MB", Doc: rotated},
			Key{Name: "log.error.count", Kind: Int, Default: "5", Doc: kept},
			Key{Name: "log.crash", Kind: Flag, Default: "on", Doc: "Write the report of a fatal crash also to log.crash.file."},
			Key{Name: "log.crash.file", Kind: File, Default: "{{ log.dir }}/crash.log", Doc: "File for log.crash."}),
		ignored(s, "the error log is neither redirected nor throttled",
			Key{Name: "log.error.redirect", Kind: Flag, Default: "on", Doc: "Take over messages of Erlang's own logger."},
			Key{Name: "log.error.messages_per_second", Kind: Int, Default: "1000", Doc: "Limit for such messages."}),
		ignored(s, "the log goes to the console and to files; the service manager takes it to syslog",
			Key{Name: "log.syslog", Kind: Flag, Default: "on", Doc: "Write to syslog."},
			Key{Name: "log.syslog.identity", Default: "emqttd", Doc: "Name in syslog."},
			Key{Name: "log.syslog.facility", Default: "local0", Doc: "Facility in syslog."},
			Key{Name: "log.syslog.level", Kind: Enum, Values: levels, Default: "error", Doc: "Least severe level for syslog."}),
	)
}

func traceKeys() []Key {
	return supported("Trace",
		Key{
			Name: "trace.otlp.endpoint",
			Doc: "The http or https URL of a collector that takes OpenTelemetry traces (OTLP/HTTP); without a path, /v1/traces is meant. " +
				"It is told of messages that have the MQTT 5 User Property traceparent with the sampled flag. Empty: nobody is told of anything.",
		},
		Key{
			Name: "trace.otlp.sample", Kind: Float, Default: "0",
			Doc: "How many of the other messages it is told of, chosen by chance: 0 none, 0.01 one in a hundred, 1 all.",
		})
}

func sysmonKeys() []Key {
	return ignored("System monitor", "there is no Erlang VM to monitor",
		Key{Name: "sysmon.long_gc", Kind: Bool, Default: "false", Doc: "Report long garbage collections."},
		Key{Name: "sysmon.long_schedule", Kind: Int, Default: "240", Doc: "Report a process that runs for so many milliseconds."},
		Key{Name: "sysmon.large_heap", Kind: Bytesize, Default: "8MB", Doc: "Report a process with such a heap."},
		Key{Name: "sysmon.busy_port", Kind: Bool, Default: "false", Doc: "Report a process that waits for a port."},
		Key{Name: "sysmon.busy_dist_port", Kind: Bool, Default: "true", Doc: "Report a process that waits for the distribution."})
}
