package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/encoding/protowire"
)

// Refusal says why something that came from outside was not let in.
type Refusal uint8

// The reasons for refusing, in the order of the checks.
const (
	RefusedMethod    Refusal = iota // any method but /remote.Remoting/Receive and the link's
	RefusedCookie                   // no cookie, or a wrong one
	RefusedMalformed                // an index outside its table, another serializer, a forged sender
	RefusedType                     // a message type that nobody may send from outside: Stop, Watch, Terminated, …
	RefusedTarget                   // a PID that is not on the allow-list
	RefusedKind                     // a Frame of a kind which this version does not know
	RefusedSize                     // a body above MaxBody
	RefusedPanic                    // the framework panicked on it
	refusals
)

var refusalNames = [refusals]string{"method", "cookie", "malformed", "type", "target", "kind", "size", "panic"}

// String returns the reason as a metric label.
func (r Refusal) String() string { return refusalNames[r] }

const (
	receiveMethod = "/remote.Remoting/Receive"
	cookieHeader  = "emqttd-cookie"
	// deadLetterName is the answer of a node that has no actor at the target: it lets a caller fail at once.
	deadLetterName = "actor.DeadLetterResponse"
	// futurePrefix starts the ids of the framework's futures, where answers to our own requests arrive.
	futurePrefix = "future$"
)

// guard stands between gRPC and the framework's endpoint reader, which trusts every index, type name and target.
type guard struct {
	token   string
	targets map[string]bool
	address func() string
	accept  func(Stream) // nil: no links
	logger  *slog.Logger
	counts  [refusals]atomic.Uint64
	logged  atomic.Int64 // unix second of the last line in the log: an attack must not fill the disk
}

func newGuard(o Options, address func() string) *guard {
	g := &guard{token: token(o.Cookie), targets: map[string]bool{}, address: address, accept: o.Accept, logger: o.Logger}
	if g.logger == nil {
		g.logger = slog.New(slog.DiscardHandler)
	}
	for _, id := range o.Targets {
		g.targets[id] = true
	}
	return g
}

// token is what proves the cookie: a keyed digest, so that any cookie fits a header and none appears in a trace.
func token(cookie string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("emqttd remoting 1"))
	return hex.EncodeToString(mac.Sum(nil))
}

func (g *guard) refuse(r Refusal, detail string) {
	n := g.counts[r].Add(1)
	now := time.Now().Unix()
	if last := g.logged.Load(); last != now && g.logged.CompareAndSwap(last, now) {
		g.logger.Warn("remoting refused a message", "reason", r.String(), "detail", detail, "count", n)
	}
}

// admit is the first door: it runs before gRPC creates a stream or reads one byte of a message.
func (g *guard) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !g.serves(info.FullMethodName) {
		g.refuse(RefusedMethod, info.FullMethodName)
		return nil, status.Error(codes.Unimplemented, "method not allowed")
	}
	given := info.Header.Get(cookieHeader)
	if len(given) != 1 || subtle.ConstantTimeCompare([]byte(given[0]), []byte(g.token)) != 1 {
		g.refuse(RefusedCookie, "")
		return nil, status.Error(codes.Unauthenticated, "wrong cookie")
	}
	return ctx, nil
}

// serves reports whether a method is one of the two that the door has.
func (g *guard) serves(method string) bool {
	return method == receiveMethod || method == linkMethod && g.accept != nil
}

// unary refuses every unary call, whatever admit said: the framework's handlers panic.
func (g *guard) unary(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	g.refuse(RefusedMethod, info.FullMethod)
	return nil, status.Error(codes.Unimplemented, "method not allowed")
}

// stream filters what a peer sends and turns a panic of the framework into the end of that stream.
func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.refuse(RefusedPanic, "")
			err = status.Error(codes.Internal, "message refused")
		}
	}()
	if !g.serves(info.FullMethod) {
		g.refuse(RefusedMethod, info.FullMethod)
		return status.Error(codes.Unimplemented, "method not allowed")
	}
	if info.FullMethod == linkMethod {
		return next(srv, ss)
	}
	return next(srv, &guardedStream{ServerStream: ss, guard: g})
}

type guardedStream struct {
	grpc.ServerStream
	guard *guard
}

// RecvMsg hands the framework only what the filter let through.
func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if msg, ok := m.(*remote.RemoteMessage); ok {
		if batch := msg.GetMessageBatch(); batch != nil {
			s.guard.filter(batch)
		}
	}
	return nil
}

// filter removes from the batch every envelope that may not enter; order and the rest stay.
func (g *guard) filter(b *remote.MessageBatch) {
	self := g.address()
	for _, t := range b.Targets {
		// It was sent to us, by whatever name we were dialled; without this we would relay for strangers.
		t.Address = self
	}
	kept := b.Envelopes[:0]
	for _, e := range b.Envelopes {
		if r, detail, ok := g.check(b, e, self); ok {
			kept = append(kept, e)
		} else {
			g.refuse(r, detail)
		}
	}
	clear(b.Envelopes[len(kept):])
	b.Envelopes = kept
}

func (g *guard) check(b *remote.MessageBatch, e *remote.MessageEnvelope, self string) (Refusal, string, bool) {
	if !within(e.TypeId, len(b.TypeNames)) || !within(e.Target, len(b.Targets)) ||
		!within(e.Sender, len(b.Senders)+1) || e.SerializerId != 0 {
		return RefusedMalformed, "index", false
	}
	if e.Sender > 0 && !outside(b.Senders[e.Sender-1], self) {
		return RefusedMalformed, "sender", false
	}
	name := b.TypeNames[e.TypeId]
	if name != frameName && name != deadLetterName {
		return RefusedType, name, false
	}
	target := b.Targets[e.Target].Id
	isFuture := len(target) > len(futurePrefix) && target[:len(futurePrefix)] == futurePrefix
	if !isFuture && (name == deadLetterName || !g.targets[target]) {
		return RefusedTarget, target, false
	}
	if name == frameName {
		if len(e.MessageData) > MaxBody {
			return RefusedSize, target, false
		}
		kind, ok := frameKind(e.MessageData)
		if !ok {
			return RefusedMalformed, "frame", false
		}
		if !known(kind) {
			return RefusedKind, target, false
		}
	}
	return 0, "", true
}

func within(i int32, n int) bool { return i >= 0 && int(i) < n }

// outside reports whether an answer to this sender leaves the node: a forged local sender would let a peer have
// answers delivered to any actor.
func outside(pid *actor.PID, self string) bool {
	return pid.Address != "" && pid.Address != "nonhost" && pid.Address != self
}

// frameKind reads the kind without decoding the body. Ok is false when the bytes are not a Frame.
func frameKind(b []byte) (kind uint32, ok bool) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, false
		}
		b = b[n:]
		if num == 1 && typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 || v > 1<<32-1 {
				return 0, false
			}
			kind, b = uint32(v), b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return 0, false
		}
		b = b[n:]
	}
	return kind, true
}
