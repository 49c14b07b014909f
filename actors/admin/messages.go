package admin

import "emqttd/cluster/wire"

// Kinds of the messages between the command line and the admin actor.
const (
	KindCommand = 0x0101
	KindResult  = 0x0102
)

func init() {
	wire.Register(KindCommand, func() any { return new(Command) })
	wire.Register(KindResult, func() any { return new(Result) })
}

// Command asks the admin actor to run a command for an operator. It is answered with one *Result to the sender.
type Command struct {
	Args   []string // the command and its arguments
	Cursor string   // where the page starts; the Cursor of the Result before, "" for the first
	JSON   bool     // answer with one JSON object a line
	Node   string   // whom to ask; "" is the node that gets it
	All    bool     // ask all nodes, one after the other; Node is not looked at
}

// Result is one page of what a command prints.
type Result struct {
	Text     string // to be printed as it is
	ExitCode int    // ExitOK, ExitFailed or ExitUsage
	Cursor   string // ask again with it for the next page; "" = this was the last

	formatted bool // Text is what the command asked for; else it is plain text
}

// Exit codes of commands.
const (
	ExitOK     = 0 // carried out
	ExitFailed = 1 // refused, not found or failed
	ExitUsage  = 2 // no such command, or arguments that it does not take
)

// Serialize implements wire.Message.
func (m *Command) Serialize() (wire.Serialized, error) { return wire.Encode(KindCommand, m) }

// Serialize implements wire.Message.
func (m *Result) Serialize() (wire.Serialized, error) { return wire.Encode(KindResult, m) }
