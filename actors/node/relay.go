package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"emqttd/actors/access"
	"emqttd/actors/admin"
	"emqttd/actors/admin/web"
	"emqttd/actors/system/explain"
	"emqttd/cluster/relay"
	"emqttd/cluster/wire"
)

// What operators ask of another node. Bodies are msgpack.
const (
	askCommand = "command" // a line of emqttd_ctl
	askHTTP    = "http"    // a request below /api/v2
	tellAccess = "access"  // clients are to be judged anew
)

// relayTime bounds a command on another node; it is that of one here.
const relayTime = 60 * time.Second

// far is what is asked about a client identifier, wherever its session is.
type far struct {
	client        func(string) (admin.ClientInfo, bool)
	session       func(string) (admin.SessionInfo, bool)
	subscriptions func(string) ([]admin.SubscriptionInfo, bool)
	contents      func(contentsOf) (admin.SessionContents, bool)
	kick          func(string) (bool, bool)
	change        func(changeOf) (string, bool)
}

// askExplain asks a node for its part of an explanation.
const askExplain = "explain"

type contentsOf struct {
	ID    string
	Limit int
}

type changeOf struct {
	ID, Filter string
	QoS        byte
	Remove     bool
}

// buildRelay makes what answers other nodes' operators, and asks for ours.
func (n *Node) buildRelay() {
	r := relay.New(n.mesh.net, n.log)
	n.mesh.relay = r
	r.Serve(askCommand, n.answerCommand)
	r.Serve(askHTTP, n.answerHTTP)
	r.Serve(tellAccess, func(_ context.Context, body []byte) ([]byte, error) {
		var s access.Selector
		if err := msgpack.Unmarshal(body, &s); err != nil {
			return nil, err
		}
		n.door.changed(s)
		return nil, nil
	})
	r.Serve(askExplain, func(_ context.Context, body []byte) ([]byte, error) {
		var q explainOf
		if err := msgpack.Unmarshal(body, &q); err != nil {
			return nil, err
		}
		return msgpack.Marshal(n.explainHere(q))
	})
	n.far = far{
		client:        anywhere(r, n, "client", n.client),
		session:       anywhere(r, n, "session", n.sessionInfo),
		subscriptions: anywhere(r, n, "subscriptions", n.subscriptionsOf),
		contents: anywhere(r, n, "contents", func(q contentsOf) (admin.SessionContents, bool) {
			return n.contents(q.ID, q.Limit)
		}),
		kick: anywhere(r, n, "kick", func(id string) (bool, bool) {
			kicked := n.kick(id)
			return kicked, kicked
		}),
		change: anywhere(r, n, "change", func(q changeOf) (string, bool) {
			switch err := n.change(q.ID, q.Filter, q.QoS, q.Remove); {
			case errors.Is(err, admin.ErrNoSession):
				return "", false
			case err != nil:
				return err.Error(), true
			}
			return "", true
		}),
	}
}

// found is an answer about a client identifier.
type found[A any] struct {
	OK     bool
	Answer A
}

// anywhere serves a question that here answers for the sessions of this node, and
// returns what asks all nodes: this one first, then all others at once.
func anywhere[Q, A any](r *relay.Relay, n *Node, method string, here func(Q) (A, bool)) func(Q) (A, bool) {
	r.Serve(method, func(_ context.Context, body []byte) ([]byte, error) {
		var q Q
		if err := msgpack.Unmarshal(body, &q); err != nil {
			return nil, err
		}
		var f found[A]
		f.Answer, f.OK = here(q)
		return msgpack.Marshal(&f)
	})
	return func(q Q) (A, bool) {
		if a, ok := here(q); ok {
			return a, true
		}
		var none A
		body, err := msgpack.Marshal(q)
		if err != nil {
			return none, false
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		peers := n.mesh.net.Peers()
		answers := make(chan found[A], len(peers))
		for _, p := range peers {
			go func() {
				var f found[A]
				if b, err := r.Ask(ctx, p.Member().Name, method, body); err != nil || msgpack.Unmarshal(b, &f) != nil {
					f = found[A]{}
				}
				answers <- f
			}()
		}
		for range peers {
			if f := <-answers; f.OK {
				return f.Answer, true
			}
		}
		return none, false
	}
}

// explainers asks all nodes at once; this one's part is the first.
func (n *Node) explainers(q explainOf) []explain.Part {
	peers := n.mesh.net.Peers()
	parts := make([]explain.Part, 1+len(peers))
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() {
			part, name := &parts[1+i], p.Member().Name
			body, err := msgpack.Marshal(q)
			if err == nil {
				body, err = n.mesh.relay.Ask(ctx, name, askExplain, body)
			}
			if err == nil {
				err = msgpack.Unmarshal(body, part)
			}
			if err != nil {
				*part = explain.Part{Node: name, Err: err.Error()}
			}
		})
	}
	parts[0] = n.explainHere(q)
	all.Wait()
	return parts
}

// answerCommand runs a command of another node's operator.
func (n *Node) answerCommand(_ context.Context, body []byte) ([]byte, error) {
	c, ok := wire.Decode(admin.KindCommand, body).(*admin.Command)
	if !ok {
		return nil, errors.New("the command cannot be read")
	}
	f := n.system.Root.RequestFuture(n.system.NewLocalPID(admin.ID), c, relayTime)
	v, err := f.Result()
	if err != nil {
		return nil, err
	}
	res, ok := v.(*admin.Result)
	if !ok {
		return nil, fmt.Errorf("the command was answered with %T", v)
	}
	return bodyOf(res)
}

func bodyOf(m wire.Message) ([]byte, error) {
	frame, err := m.Serialize()
	if err != nil {
		return nil, err
	}
	_, body := wire.Open(frame)
	return body, nil
}

// relayCommand has another node run a command; see admin.Options.
func (n *Node) relayCommand(node string, c *admin.Command) (*admin.Result, error) {
	body, err := bodyOf(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), relayTime)
	defer cancel()
	if body, err = n.mesh.relay.Ask(ctx, node, askCommand, body); err != nil {
		return nil, err
	}
	res, ok := wire.Decode(admin.KindResult, body).(*admin.Result)
	if !ok {
		return nil, errors.New("the answer cannot be read: is it another version?")
	}
	return res, nil
}

// nodeNames are all nodes that run, by name.
func (n *Node) nodeNames() []string {
	members := n.mesh.net.View().Members
	names := make([]string, len(members))
	for i := range members {
		names[i] = members[i].Name
	}
	return names
}

// others are the other nodes for the HTTP API.
type others struct{ *Node }

func (o others) Nodes() []string { return o.nodeNames() }

func (o others) Ask(ctx context.Context, node string, q *web.Question) (*web.Told, error) {
	body, err := msgpack.Marshal(q)
	if err != nil {
		return nil, err
	}
	if body, err = o.mesh.relay.Ask(ctx, node, askHTTP, body); err != nil {
		return nil, err
	}
	told := new(web.Told)
	return told, msgpack.Unmarshal(body, told)
}

func (n *Node) answerHTTP(ctx context.Context, body []byte) ([]byte, error) {
	var q web.Question
	if err := msgpack.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	return msgpack.Marshal(web.Answer(ctx, n.sources(), &q))
}

// kickAnywhere and the others below are what admin.Sources asks.
func (n *Node) kickAnywhere(id string) bool {
	kicked, _ := n.far.kick(id)
	return kicked
}

func (n *Node) contentsAnywhere(id string, limit int) (admin.SessionContents, bool) {
	return n.far.contents(contentsOf{id, limit})
}

func (n *Node) changeAnywhere(q changeOf) error {
	refused, ok := n.far.change(q)
	switch {
	case !ok:
		return admin.ErrNoSession
	case refused != "":
		return errors.New(refused)
	}
	return nil
}

// cleanACLCache has the rights of a connected client judged anew, on whichever node
// it is, from what its back ends say now.
func (n *Node) cleanACLCache(id string) bool {
	if _, connected := n.far.client(id); !connected {
		return false
	}
	s := access.Selector{ClientID: id}
	n.door.changed(s)
	if body, err := msgpack.Marshal(&s); err == nil {
		n.mesh.relay.Tell(tellAccess, body)
	}
	return true
}
