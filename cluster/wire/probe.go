package wire

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Probe asks the node at address whether it lets us in. It costs one connection and starts nothing, and it answers in
// the time of one round trip where the framework would sleep for seconds. The error is ErrCookie when the node is there
// and refuses our cookie.
func Probe(ctx context.Context, address, cookie string, tlsConfig *tls.Config) (err error) {
	conn, err := grpc.NewClient("passthrough:///"+address, dialOptions(cookie, tlsConfig)...)
	if err != nil {
		return fmt.Errorf("probe %s: %w", address, err)
	}
	defer func() {
		if cerr := conn.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("probe %s: %w", address, cerr)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := remote.NewRemotingClient(conn).Receive(ctx)
	if err != nil {
		return probeError(address, err)
	}
	// The answer to a refused stream is read by Recv; what Send says then is only "EOF".
	_ = stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{
		ConnectRequest: &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ServerConnection{
			ServerConnection: &remote.ServerConnection{SystemId: "probe"},
		}},
	}})
	if _, err := stream.Recv(); err != nil {
		return probeError(address, err)
	}
	return nil
}

func probeError(address string, err error) error {
	if status.Code(err) == codes.Unauthenticated {
		return fmt.Errorf("node at %s: %w", address, ErrCookie)
	}
	return fmt.Errorf("node at %s does not answer: %s", address, status.Convert(err).Message())
}
