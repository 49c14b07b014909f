package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Stream carries messages of bytes between two nodes, in order, until it breaks. One goroutine may send while another
// receives; Close may be called from any.
type Stream interface {
	// Send hands b over, which the caller must not touch any more. It blocks while the other side does not read.
	Send(b []byte) error
	// Recv waits for the next message, whose bytes belong to the caller. io.EOF means that the other side has closed.
	Recv() ([]byte, error)
	// Close ends the stream for both sides and lets Send and Recv return. What was sent just before may be lost.
	Close()
}

// MaxStreamMessage is the largest message in bytes that a Stream carries: one body of the largest size, or a full batch,
// and what is written around it.
const MaxStreamMessage = MaxBody + 64<<10

// ErrRefused means that nobody listens at an address: the node there does not run.
var ErrRefused = errors.New("connection refused")

const (
	linkMethod = "/emqttd.cluster.Link/Stream"
	// linkWindow is what gRPC lets a peer send before it is read. Its default of 64 KB is one round trip per batch;
	// more than the credit of a link would only cost memory.
	linkWindow = 4 << 20
)

// Dialer opens streams to the doors of other nodes.
type Dialer struct {
	Cookie string
	TLS    *tls.Config // as in Options
}

// Dial opens a stream. It returns when the door at address has let us in: then ctx no longer matters. The error is ErrCookie,
// ErrRefused, or says what else is wrong.
func (d *Dialer) Dial(ctx context.Context, address string) (Stream, error) {
	var refused atomic.Bool // gRPC makes a text of the reason
	options := append(dialOptions(d.Cookie, d.TLS),
		grpc.WithInitialWindowSize(linkWindow), grpc.WithInitialConnWindowSize(linkWindow),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if isRefused(err) {
				refused.Store(true)
			}
			return conn, err
		}))
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	s, err := openStream(ctx, conn)
	if err == nil {
		return s, nil
	}
	_ = conn.Close() // the reason is the error above
	switch {
	case refused.Load():
		return nil, fmt.Errorf("dial %s: %w", address, ErrRefused)
	case status.Code(err) == codes.Unauthenticated:
		return nil, fmt.Errorf("dial %s: %w", address, ErrCookie)
	default:
		return nil, fmt.Errorf("dial %s: %s", address, status.Convert(err).Message())
	}
}

// isRefused knows the error of Windows, too, which has a number of its own.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.Errno(10061))
}

var linkDesc = grpc.StreamDesc{StreamName: "Stream", ServerStreams: true, ClientStreams: true}

func openStream(ctx context.Context, conn *grpc.ClientConn) (Stream, error) {
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	s, err := conn.NewStream(life, &linkDesc, linkMethod,
		grpc.CallContentSubtype(rawCodec{}.Name()),
		grpc.MaxCallRecvMsgSize(MaxStreamMessage), grpc.MaxCallSendMsgSize(MaxStreamMessage))
	if err == nil {
		// The door answers with its headers before it reads anything, so that a refusal is known here.
		var answer metadata.MD
		if answer, err = s.Header(); err == nil && answer == nil {
			err = s.RecvMsg(new([]byte)) // it has ended already: this says why
		}
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &clientStream{ClientStream: s, conn: conn, cancel: cancel}, nil
}

// clientStream is a stream that we have opened, with a connection of its own.
type clientStream struct {
	grpc.ClientStream
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	once   sync.Once
}

func (s *clientStream) Send(b []byte) error { return s.SendMsg(&b) }

func (s *clientStream) Recv() ([]byte, error) { return recvBytes(s.ClientStream) }

func (s *clientStream) Close() {
	s.once.Do(func() {
		s.cancel()
		_ = s.conn.Close() // nothing of it is needed any more
	})
}

// serverStream is a stream that was opened to us. It ends when its handler returns.
type serverStream struct {
	grpc.ServerStream
	once   sync.Once
	closed chan struct{}
}

func (s *serverStream) Send(b []byte) error { return s.SendMsg(&b) }

func (s *serverStream) Recv() ([]byte, error) { return recvBytes(s.ServerStream) }

func (s *serverStream) Close() { s.once.Do(func() { close(s.closed) }) }

func recvBytes(s interface{ RecvMsg(any) error }) ([]byte, error) {
	var b []byte
	if err := s.RecvMsg(&b); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("receive: %s", status.Convert(err).Message())
	}
	return b, nil
}

// link is the handler of every method that the framework does not know; admit lets only ours come so far.
func (g *guard) link(_ any, ss grpc.ServerStream) error {
	// The headers tell the caller that it was let in.
	if err := ss.SendHeader(nil); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	s := &serverStream{ServerStream: ss, closed: make(chan struct{})}
	go g.accept(s)
	select {
	case <-s.closed:
	case <-ss.Context().Done():
	}
	return nil
}

// rawCodec passes bytes through. It is chosen by the content-subtype of a call, so that it is for streams and nobody else.
type rawCodec struct{}

func init() { encoding.RegisterCodecV2(rawCodec{}) }

var errRaw = errors.New("only bytes")

// Name implements encoding.CodecV2.
func (rawCodec) Name() string { return "emqttd" }

// Marshal implements encoding.CodecV2. The bytes are not copied.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, errRaw
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal implements encoding.CodecV2. It copies once, because a message arrives in pieces.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errRaw
	}
	if data.Len() > MaxStreamMessage {
		return fmt.Errorf("%d bytes are more than the %d allowed", data.Len(), MaxStreamMessage)
	}
	*b = data.Materialize()
	return nil
}
