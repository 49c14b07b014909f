package wire

// The kinds of messages between nodes. A number is never used for something else,
// so that nodes of two versions understand each other; what a node does not know,
// it counts and passes over. The
// command line's (package admin) begin at 0x0100.
const (
	// KindLetter is a message for an actor (package cluster).
	KindLetter = 100
	// 110 to 129: link (hello, heartbeat, …).
	KindLink = 110
	// 130 to 149: routes and forwarded messages.
	KindRoutes = 130
	// 150 to 169: registry slots.
	KindRegistry = 150
	// 170 to 189: sessions that move.
	KindSessions = 170
	// 190 to 209: retained replicas.
	KindRetained = 190
	// 210 to 229: access (bans, users, caches).
	KindAccess = 210
	// 230 to 249: what operators ask of another node.
	KindAdmin = 230
)
