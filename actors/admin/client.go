package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"

	"emqttd/cluster/wire"
	"emqttd/config"
)

// ID is the id of the admin actor, which remote command lines send to.
const ID = "node/admin"

const (
	connectTimeout = 700 * time.Millisecond // the local node answers in one; scripts poll with us
	answerTimeout  = runTimeout + 5*time.Second
)

// ErrNotRunning means that nobody listens where the node should.
var ErrNotRunning = errors.New("node is not running")

// errLost means that the connection ended before the answer came.
var errLost = errors.New("the connection to the node was lost")

// Client is a command line's connection to the admin actor of the node on this machine. It is used by one goroutine.
type Client struct {
	system *actor.ActorSystem
	remote *wire.Remote
	node   *actor.PID
	lost   chan struct{} // closed when the connection ended
}

// DialNode is Dial for the node of a configuration.
func DialNode(c *config.Config) (*Client, error) {
	_, own, err := wire.LoadTLS(c)
	if err != nil {
		return nil, err
	}
	return Dial(c.Node.DistListen, c.Node.Cookie, own)
}

// Dial connects to the node that listens at address (node.dist_listen) with its cookie. The error is ErrNotRunning when
// nobody listens there, and wire.ErrCookie when the node does not let us in; both are known within a second.
func Dial(address, cookie string, tlsConfig *tls.Config) (*Client, error) {
	address, err := localAddress(address)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", address, connectTimeout)
	if err != nil {
		return nil, ErrNotRunning
	}
	_ = conn.Close() // it was only a knock
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := wire.Probe(ctx, address, cookie, tlsConfig); err != nil {
		return nil, err
	}
	c := &Client{
		system: actor.NewActorSystemWithConfig(actor.Configure(wire.QuietFramework(nil))),
		node:   wire.PID(address, ID),
		lost:   make(chan struct{}),
	}
	// The framework has no client-only connections: answers come through a door of our own, open to this machine only
	// and to nothing but the futures below.
	c.remote, err = wire.Start(c.system, wire.Options{Listen: "127.0.0.1:0", Cookie: cookie, TLS: tlsConfig})
	if err != nil {
		c.system.Shutdown()
		return nil, err
	}
	c.system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*remote.EndpointTerminatedEvent); ok && e.Address == address {
			select {
			case <-c.lost:
			default:
				close(c.lost)
			}
		}
	})
	return c, nil
}

// localAddress is where a listener on all interfaces is reached from its own machine.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("address of the node %q: want host:port", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host = "127.0.0.1"; ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

// Run runs one command on the node dialled and writes its pages to out as they come; see Do.
func (c *Client) Run(out io.Writer, args ...string) (code int, err error) {
	return c.Do(out, Command{Args: args})
}

// Do runs a command, writes its pages to out as they come, and returns the highest exit code of them.
func (c *Client) Do(out io.Writer, cmd Command) (code int, err error) {
	for {
		ask := cmd // what was sent is not written to again
		res, err := c.ask(&ask)
		if err != nil {
			return ExitFailed, err
		}
		if _, err := io.WriteString(out, res.Text); err != nil {
			return ExitFailed, err
		}
		code = max(code, res.ExitCode)
		if cmd.Cursor = res.Cursor; cmd.Cursor == "" {
			return code, nil
		}
	}
}

func (c *Client) ask(cmd *Command) (*Result, error) {
	type answer struct {
		value any
		err   error
	}
	got := make(chan answer, 1)
	future := c.system.Root.RequestFuture(c.node, cmd, answerTimeout)
	go func() {
		v, err := future.Result()
		got <- answer{v, err}
	}()
	select {
	case a := <-got:
		switch {
		case errors.Is(a.err, actor.ErrDeadLetter):
			return nil, ErrNotRunning // it starts or stops: the door is open and nobody is behind it
		case a.err != nil:
			return nil, a.err
		}
		if res, ok := a.value.(*Result); ok {
			return res, nil
		}
		return nil, fmt.Errorf("the node answered with %T: is it another version?", a.value)
	case <-c.lost:
		c.system.Root.Stop(future.PID()) // ends the goroutine above
		return nil, errLost
	}
}

// IsLost reports whether err means that the node went away while it was being asked.
func IsLost(err error) bool { return errors.Is(err, errLost) }

// Close ends the connection.
func (c *Client) Close() {
	c.remote.Stop()
	c.system.Shutdown()
}
