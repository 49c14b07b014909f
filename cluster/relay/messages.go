package relay

import "emqttd/cluster/wire"

// part is a piece of a question or an answer, or says that nobody waits any more.
type part struct {
	What   what
	ID     uint64 // of the question; who asks counts them
	Method string // first piece of a question
	Body   []byte
	More   bool   // it is not the last piece
	Error  string // last piece of an answer: why there is none
}

type what uint8

const (
	question what = iota + 1
	answer
	cancel
	news // a question that is not answered
)

// Serialize implements wire.Message.
func (m *part) Serialize() (wire.Serialized, error) { return wire.Encode(wire.KindAdmin, m) }

func init() { wire.Register(wire.KindAdmin, func() any { return new(part) }) }

// pieceLen is how many bytes a piece carries: other messages go between two.
const pieceLen = 256 << 10

// maxBody bounds what is put together of pieces. Lists are asked for by pages far
// shorter than this.
const maxBody = 16 << 20

// pieces splits a message.
func pieces(p part, send func(*part)) {
	body := p.Body
	err := p.Error
	for {
		n := min(len(body), pieceLen)
		p.Body, p.More, p.Error = body[:n:n], n < len(body), ""
		if !p.More {
			p.Error = err
		}
		one := p
		send(&one)
		if body, p.Method = body[n:], ""; !p.More {
			return
		}
	}
}
