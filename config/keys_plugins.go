package config

func moduleKeys() []Key {
	const s = "Modules"
	return join(
		supported(s,
			Key{
				Name: "module.presence", Kind: Flag, Default: "on",
				Doc: "Publish $SYS/brokers/<node>/clients/<clientid>/connected and disconnected when clients come and go.",
			},
			Key{Name: "module.presence.qos", Kind: Int, Default: "1", Doc: "QoS of these messages, 0 to 2."}),
		ofPlugin(s, "emq_mod_subscription",
			Key{Name: "module.subscription", Kind: Flag, Default: "off", Harmless: []string{"off", "false"}, Doc: "Subscribe clients when they connect."},
			Key{Name: "module.subscription.$n.topic", Doc: "The topic; %c is the client, %u the user."},
			Key{Name: "module.subscription.$n.qos", Kind: Int, Doc: "Its QoS."},
			Key{Name: "module.subscription.backend", Kind: Flag, Harmless: []string{"off", "false"}, Doc: "Load subscriptions from the backend (EMQ 2.0.0)."}),
		ofPlugin(s, "emq_mod_rewrite",
			Key{Name: "module.rewrite", Kind: Flag, Default: "off", Harmless: []string{"off", "false"}, Doc: "Rewrite topics."},
			Key{Name: "module.rewrite.rule.$n", Doc: "filter, regular expression and new topic."}),
	)
}

func gatewayKeys() []Key {
	return join(snKeys(), coapKeys(), stompKeys())
}

func snKeys() []Key {
	return notYet("MQTT-SN", "MQTT-SN gateway",
		Key{Name: "mqtt.sn.port", Kind: Int, Default: "1884", Doc: "UDP port."},
		Key{Name: "mqtt.sn.advertise_duration", Kind: Duration, Default: "900", Doc: "Period of ADVERTISE."},
		Key{Name: "mqtt.sn.gateway_id", Kind: Int, Default: "1", Doc: "The gateway's identifier."},
		Key{Name: "mqtt.sn.enable_stats", Kind: Flag, Default: "off", Doc: "Statistics of each client."},
		Key{Name: "mqtt.sn.enable_qos3", Kind: Flag, Default: "off", Doc: "Accept PUBLISH with QoS -1."},
		Key{Name: "mqtt.sn.predefined.topic.$n", Doc: "A predefined topic."},
		Key{Name: "mqtt.sn.username", Doc: "User name of its clients."},
		Key{Name: "mqtt.sn.password", Secret: true, Doc: "Password of its clients."})
}

func coapKeys() []Key {
	return notYet("CoAP", "CoAP gateway",
		Key{Name: "coap.port", Kind: Int, Default: "5683", Aliases: []string{"coap.server"}, Doc: "UDP port."},
		Key{Name: "coap.keepalive", Kind: Duration, Default: "120s", Doc: "Silence after which a client is forgotten."},
		Key{Name: "coap.enable_stats", Kind: Flag, Default: "off", Doc: "Statistics of each client."},
		Key{Name: "coap.keyfile", Kind: File, Doc: "Private key for DTLS."},
		Key{Name: "coap.certfile", Kind: File, Doc: "Certificate for DTLS."},
		Key{Name: "coap.prefix.$name", Doc: "Path of a handler (EMQ 2.0)."},
		Key{Name: "coap.handler.$name", Doc: "Module of a handler (EMQ 2.0)."})
}

func stompKeys() []Key {
	const p = "stomp.listener"
	keys := join(
		[]Key{
			{Name: p, Kind: Address, Default: "61613", Doc: "Address."},
			{Name: p + ".acceptors", Kind: Int, Default: "4", Doc: "Acceptors at work at one time."},
			{Name: p + ".max_clients", Kind: Int, Default: "512", Doc: "Connections at one time."},
			{Name: p + ".ssl", Kind: Flag, Default: "off", Doc: "Use TLS."},
		},
		tlsKeys("STOMP", p),
		[]Key{
			{Name: "stomp.default_user.login", Default: "guest", Doc: "User name of clients without one."},
			{Name: "stomp.default_user.passcode", Default: "guest", Secret: true, Doc: "Password of clients without one."},
			{Name: "stomp.allow_anonymous", Kind: Bool, Default: "true", Doc: "Let clients in without a user name."},
			{Name: "stomp.frame.max_headers", Kind: Int, Default: "10", Doc: "Headers of a frame."},
			{Name: "stomp.frame.max_header_length", Kind: Int, Default: "1024", Doc: "Length of a header."},
			{Name: "stomp.frame.max_body_length", Kind: Int, Default: "8192", Doc: "Length of a body."},
		})
	return notYet("STOMP", "STOMP gateway", keys...)
}

// hooks are the events of EMQ's web hook.
var hooks = []string{
	"client.connected", "client.disconnected", "client.subscribe", "client.unsubscribe",
	"session.created", "session.subscribed", "session.unsubscribed", "session.terminated",
	"message.publish", "message.delivered", "message.acked",
}

func otherKeys() []Key {
	return join(dashboardKeys(), webHookKeys(),
		ignored("Tools", "the garbage collector of Go needs no such help",
			Key{Name: "recon.gc_interval", Kind: Duration, Default: "5m", Doc: "Period of a global garbage collection."}),
		ignored("Tools", "a static binary does not reload code",
			Key{Name: "reloader.interval", Kind: Duration, Default: "60s", Doc: "Period at which changed code is reloaded."},
			Key{Name: "reloader.logfile", Kind: File, Default: "reloader.log", Doc: "Its log."}),
	)
}

func dashboardKeys() []Key {
	const s = "Dashboard"
	listener := func(typ, port string) []Key {
		p := "dashboard.listener." + typ
		return []Key{
			{Name: p, Kind: Address, Default: port, Doc: "Address."},
			{Name: p + ".acceptors", Kind: Int, Default: "4", Doc: "Acceptors at work at one time."},
			{Name: p + ".max_clients", Kind: Int, Default: "512", Doc: "Connections at one time."},
			{Name: p + ".backlog", Kind: Int, Doc: "Connections the system keeps until they are accepted."},
			{Name: p + ".access.$n", Doc: "allow or deny, and an IP, a CIDR or all."},
		}
	}
	return notYet(s, "dashboard", join(
		listener("http", "18083"), listener("https", "18084"), tlsKeys(s, "dashboard.listener.https"),
		[]Key{
			{Name: "dashboard.default_user.login", Default: "admin", Doc: "User name."},
			{Name: "dashboard.default_user.password", Default: "public", Secret: true, Doc: "Password."},
		})...)
}

func webHookKeys() []Key {
	keys := []Key{{Name: "web.hook.api.url", Default: "http://127.0.0.1", Doc: "URL to which events are posted."}}
	for _, h := range hooks {
		keys = append(keys, Key{Name: "web.hook.rule." + h + ".$n", Doc: "A rule for " + h + ", in JSON."})
	}
	return ofPlugin("Web hook", "emq_web_hook", keys...)
}
