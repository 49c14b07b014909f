// Package wire is the door between nodes, and between a node and its command line: Proto.Actor remoting made safe, and
// the msgpack messages that cross it.
//
// Bare Proto.Actor remoting lets anybody who reaches the port stop any actor or crash the process. Here a caller must
// prove the cookie before gRPC reads a byte of a message, only Frames of registered kinds (and dead-letter answers)
// pass, only to actors on an allow-list, and a panic of the framework ends that stream and nothing else. Nobody outside
// can stop, watch or spawn an actor.
//
//	peer ──TCP/TLS──► gRPC ──► admit (method, cookie) ──► filter (type, target, kind, size) ──► framework ──► actor
//
// Delivery is at most once, and in order per sender and peer. What a peer sends is decoded here; what it means is
// checked by the actor that receives it.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Options say where a node listens and whom it lets in.
type Options struct {
	Listen    string       // host:port to listen on; port 0 takes a free one
	Advertise string       // host:port under which others reach us; "" = the address listened on
	Cookie    string       // the secret that both sides share; must not be empty
	TLS       *tls.Config  // nil = plain text. Used for both directions: set Certificates, RootCAs, ClientCAs, ClientAuth
	Targets   []string     // ids of the actors that may be sent to from outside; futures always may
	Accept    func(Stream) // called on a goroutine of its own for each stream that another node opens; it must Close it. nil = none may
	Logger    *slog.Logger // nil = silent
}

const (
	maxRecvMessage = 64 << 20 // gRPC's 4 MB would kill the stream, and all in it, at the first large batch
	writerBatch    = 100      // envelopes; × MaxBody = 50 MB, below the receive limit
	writerQueue    = 1024     // slots allocated per peer at once; the framework's 1,000,000 cost 16 MB
	maxStreams     = 64       // per TCP connection; a peer needs one
	stopTimeout    = 2 * time.Second
)

// ErrCookie means that the other side does not accept our cookie.
var ErrCookie = errors.New("the cookie is wrong")

// Remote is a started door. It is bound to one actor system.
type Remote struct {
	system *actor.ActorSystem
	remote *remote.Remote
	guard  *guard
}

// Start opens the door. It changes the address of the system's PIDs and the process-wide gRPC logger: call it before
// anything is spawned. A port in use or a missing cookie is returned as one clear error.
func Start(system *actor.ActorSystem, o Options) (r *Remote, err error) {
	if o.Cookie == "" {
		return nil, errors.New("remoting: the cookie (node.cookie) is empty")
	}
	host, port, err := splitAddress(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("remoting: %w", err)
	}
	// The framework panics when it cannot listen, so find out first.
	probe, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("remoting: %w", err)
	}
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("remoting: release %s: %w", o.Listen, err)
	}

	g := newGuard(o, system.Address)
	config := remote.Configure(host, port,
		remote.WithAdvertisedHost(o.Advertise),
		remote.WithServerOptions(serverOptions(g, o.TLS)...),
		remote.WithDialOptions(dialOptions(o.Cookie, o.TLS)...),
		remote.WithCallOptions(grpc.MaxCallRecvMsgSize(maxRecvMessage)),
		remote.WithEndpointWriterBatchSize(writerBatch), remote.WithEndpointWriterQueueSize(writerQueue),
		remote.WithEndpointManagerBatchSize(writerBatch), remote.WithEndpointManagerQueueSize(writerQueue))
	config.MaxRetryCount = 1 // each try blocks the writer for 2 s; the next message starts the next try anyway
	r = &Remote{system: system, remote: remote.NewRemote(system, config), guard: g}
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("remoting: %v", p)
		}
	}()
	r.remote.Start()
	return r, nil
}

// Address returns the address under which others reach this node: what its PIDs carry.
func (r *Remote) Address() string { return r.system.Address() }

// PID names an actor of another node.
func PID(address, id string) *actor.PID { return actor.NewPID(address, id) }

// Refused returns how much was refused for each reason since the start.
func (r *Remote) Refused() map[string]uint64 {
	out := make(map[string]uint64, refusals)
	for i := range r.guard.counts {
		out[Refusal(i).String()] = r.guard.counts[i].Load()
	}
	return out
}

// Stop closes the port and every connection, and returns when nothing from outside reaches an actor any more. It waits
// for the framework's actors, but at most two seconds: one of them may sleep in a connection attempt.
func (r *Remote) Stop() {
	// The framework's own graceful shutdown can panic on a closed channel and wait ten seconds, so do it in our order:
	// our connections to others first, then theirs to us.
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, name := range []string{"EndpointSupervisor", "activator"} {
			pid := actor.NewPID(r.system.Address(), name)
			if err := r.system.Root.StopFuture(pid).Wait(); err != nil {
				r.guard.logger.Debug("remoting did not stop in time", "part", name, "error", err)
			}
		}
	}()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	r.remote.Shutdown(false)
}

func splitAddress(address string) (string, int, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: want host:port", address)
	}
	port, err := strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %q: port %q is not a number from 0 to 65535", address, service)
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]" // the framework joins host and port without looking
	}
	return host, port, nil
}

func serverOptions(g *guard, tlsConfig *tls.Config) []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.InTapHandle(g.admit),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
		grpc.UnknownServiceHandler(g.link),
		grpc.InitialWindowSize(linkWindow), grpc.InitialConnWindowSize(linkWindow),
		grpc.MaxRecvMsgSize(maxRecvMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.WaitForHandlers(true), // after Stop nothing from outside reaches an actor any more
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig)))
	}
	return options
}

func dialOptions(cookie string, tlsConfig *tls.Config) []grpc.DialOption {
	transport := insecure.NewCredentials()
	if tlsConfig != nil {
		transport = credentials.NewTLS(tlsConfig)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(cookieCredentials(token(cookie))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
		grpc.WithNoProxy(), // a proxy of the environment has no business between our nodes
	}
}

// cookieCredentials puts the proof of the cookie into the headers of every call.
type cookieCredentials string

func (c cookieCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{cookieHeader: string(c)}, nil
}

// RequireTransportSecurity is false: without TLS the port belongs on the loopback interface or a private network.
func (c cookieCredentials) RequireTransportSecurity() bool { return false }
