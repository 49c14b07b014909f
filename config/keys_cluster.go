package config

func clusterKeys() []Key {
	const s = "Cluster"
	return join(
		supported(s,
			Key{
				Name: "cluster.name", Default: "emqcl", Aliases: []string{"cluster.id"},
				Doc: "The cluster's name. Nodes with different names do not join.",
			},
			Key{
				Name: "cluster.discovery", Kind: Enum, Default: Manual, Values: []string{Manual, Static, Consul},
				Missing: map[string]string{
					"mcast": "discovery by multicast", "dns": "discovery by DNS",
					"etcd": "discovery by etcd", "k8s": "discovery by Kubernetes",
				},
				Doc: "How a node finds the others: it waits for `emqttd_ctl cluster join` (manual), it tries the addresses of " +
					"cluster.static.seeds (static), or it asks Consul (consul).",
			},
			Key{
				Name: "cluster.autoclean", Kind: Duration, Default: "5m",
				Doc: "How long a node must have given no sign of life before Consul forgets it; at least 1m.",
			}),
		ignored(s, "a partition heals by itself, without a restart",
			Key{Name: "cluster.autoheal", Kind: Flag, Default: "on", Doc: "Repair a partition automatically."}),
		supported(s, Key{
			Name: "cluster.static.seeds", Kind: Seeds,
			Doc: "The node.dist_advertise of some nodes, or all, for cluster.discovery = static. The node itself may be among them. " +
				"A node's name, emq1@192.0.2.7, stands for port 6369 of its host.",
		}),
		consulKeys(s),
		supported(s,
			Key{
				Name: "cluster.tls.cacertfile", Kind: File,
				Doc: "Authorities that sign the certificates of all nodes. With the next two: TLS between nodes, where each side must have a certificate.",
			},
			Key{
				Name: "cluster.tls.certfile", Kind: File,
				Doc: "The node's certificate, for the host of node.dist_advertise, for servers and for clients. emqttd_ctl shows it, too.",
			},
			Key{Name: "cluster.tls.keyfile", Kind: File, Doc: "Its private key."}),
		missingDiscovery(s),
	)
}

func consulKeys(s string) []Key {
	const p = "cluster.consul"
	return supported(s,
		Key{
			Name: p + ".address", Kind: HostPort, Default: "127.0.0.1:8500",
			Doc: "The HTTP API of Consul, best that of an agent on this host. For cluster.discovery = consul, like all of cluster.consul.",
		},
		Key{Name: p + ".token", Secret: true, Doc: "ACL token. It needs service:write for cluster.consul.service, and key:write and session:write for the node's name."},
		Key{Name: p + ".datacenter", Doc: "Datacenter whose nodes are looked for. Empty: the agent's own."},
		Key{Name: p + ".service", Default: "emqttd", Doc: "The service as which nodes are registered."},
		Key{
			Name: p + ".ttl", Kind: Duration, Default: "10s",
			Doc: "How long Consul waits for a sign of life before the node's check fails. The node sends three in this time.",
		},
		Key{
			Name: p + ".timeout", Kind: Duration, Default: "5s",
			Doc: "How long a call of Consul may take before it has failed and is made again.",
		},
		Key{Name: p + ".tls", Kind: Flag, Default: "off", Doc: "Reach Consul by TLS (https)."},
		Key{Name: p + ".tls.cacertfile", Kind: File, Doc: "Authorities that sign Consul's certificate. Empty: those of the system."},
		Key{Name: p + ".tls.certfile", Kind: File, Doc: "The node's certificate, where Consul asks for one."},
		Key{Name: p + ".tls.keyfile", Kind: File, Doc: "Its private key."},
		Key{Name: p + ".tls.server_name", Doc: "The name in Consul's certificate, such as server.dc1.consul. Empty: the host of cluster.consul.address."},
		Key{
			Name: p + ".tls.verify", Kind: Enum, Values: []string{"verify_peer", "verify_none"}, Default: "verify_peer",
			Doc: "Check Consul's certificate. With verify_none whoever is between can read the token.",
		})
}

// missingDiscovery are the ways of EMQ to find other nodes that are not here.
func missingDiscovery(s string) []Key {
	return join(
		notYet(s, "discovery by multicast",
			Key{Name: "cluster.multicast", Doc: "Group and port (EMQ 2.2)."},
			Key{Name: "cluster.mcast.addr", Default: "239.192.0.1", Doc: "Multicast group."},
			Key{Name: "cluster.mcast.ports", Kind: List, Default: "4369,4370", Doc: "Ports to try."},
			Key{Name: "cluster.mcast.iface", Default: "0.0.0.0", Doc: "Address of the interface."},
			Key{Name: "cluster.mcast.ttl", Kind: Int, Default: "255", Doc: "Time to live of the packets."},
			Key{Name: "cluster.mcast.loop", Kind: Flag, Default: "on", Doc: "Receive one's own packets."},
			Key{Name: "cluster.mcast.sndbuf", Kind: Bytesize, Default: "16KB", Doc: "Send buffer."},
			Key{Name: "cluster.mcast.recbuf", Kind: Bytesize, Default: "16KB", Doc: "Receive buffer."},
			Key{Name: "cluster.mcast.buffer", Kind: Bytesize, Default: "32KB", Doc: "User-level buffer."}),
		notYet(s, "discovery by DNS",
			Key{Name: "cluster.dns.name", Doc: "Name whose A records are the nodes."},
			Key{Name: "cluster.dns.app", Doc: "Part of the node names before the @."}),
		notYet(s, "discovery by etcd",
			Key{Name: "cluster.etcd.server", Kind: List, Doc: "URLs of the servers."},
			Key{Name: "cluster.etcd.prefix", Default: "emqcl", Doc: "Prefix of the path."},
			Key{Name: "cluster.etcd.node_ttl", Kind: Duration, Default: "1m", Doc: "Time to live of a node's entry."}),
		notYet(s, "discovery by Kubernetes",
			Key{Name: "cluster.k8s.apiserver", Kind: List, Doc: "URLs of the API servers."},
			Key{Name: "cluster.k8s.service_name", Doc: "Service whose end points are the nodes."},
			Key{Name: "cluster.k8s.address_type", Kind: Enum, Values: []string{"ip", "dns"}, Default: "ip", Doc: "Form of the node names."},
			Key{Name: "cluster.k8s.app_name", Doc: "Part of the node names before the @."},
			Key{Name: "cluster.k8s.namespace", Doc: "Namespace of the service."}),
	)
}
