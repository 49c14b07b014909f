package wire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func within5s(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// dial opens a plain gRPC connection, as an attacker would.
func dial(t *testing.T, address string, options ...grpc.DialOption) remote.RemotingClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return remote.NewRemotingClient(conn)
}

func connect(t *testing.T, d *door) remote.Remoting_ReceiveClient {
	t.Helper()
	ctx, cancel := context.WithCancel(within5s(t))
	t.Cleanup(cancel)
	s, err := dial(t, d.Address(), dialOptions(testCookie, nil)...).Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func batch(typeName string, data []byte, target, sender *actor.PID, edit func(*remote.MessageBatch)) *remote.RemoteMessage {
	b := &remote.MessageBatch{
		TypeNames: []string{typeName}, Targets: []*actor.PID{target},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}
	if sender != nil {
		b.Senders = []*actor.PID{sender}
		b.Envelopes[0].Sender = 1
	}
	if edit != nil {
		edit(b)
	}
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

func body(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func frame(t *testing.T, text string) []byte {
	t.Helper()
	f, err := (&note{Text: text}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return body(t, f.(*Frame))
}

func TestOnlyReceiveWithTheRightCookieIsAdmitted(t *testing.T) {
	d := openDoor(t, nil)
	noCookie := []grpc.DialOption{dialOptions(testCookie, nil)[0]}
	for _, tc := range []struct {
		name    string
		options []grpc.DialOption
		call    func(remote.RemotingClient) error
		code    codes.Code
		reason  Refusal
	}{
		{"wrong cookie", dialOptions("guess", nil), receive, codes.Unauthenticated, RefusedCookie},
		{"no cookie", noCookie, receive, codes.Unauthenticated, RefusedCookie},
		{"ListProcesses with the cookie", dialOptions(testCookie, nil), func(c remote.RemotingClient) error {
			_, err := c.ListProcesses(within5s(t), &remote.ListProcessesRequest{})
			return err
		}, codes.Unimplemented, RefusedMethod},
		{"GetProcessDiagnostics without it", noCookie, func(c remote.RemotingClient) error {
			_, err := c.GetProcessDiagnostics(within5s(t), &remote.GetProcessDiagnosticsRequest{})
			return err
		}, codes.Unimplemented, RefusedMethod},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := d.Refused()[tc.reason.String()]
			if err := tc.call(dial(t, d.Address(), tc.options...)); status.Code(err) != tc.code {
				t.Errorf("got %v, want %v", err, tc.code)
			}
			if after := d.Refused()[tc.reason.String()]; after != before+1 {
				t.Errorf("counted %d, want %d", after, before+1)
			}
			s := connect(t, d)
			if err := s.Send(batch(frameName, frame(t, tc.name), d.echo, nil, nil)); err != nil {
				t.Fatal(err)
			}
			d.expect(t, tc.name)
		})
	}
}

func receive(c remote.RemotingClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := c.Receive(ctx)
	if err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

func TestWhatMayNotEnterIsRefusedAndCountedAndTheNodeLives(t *testing.T) {
	d := openDoor(t, nil)
	secret := actor.NewPID(d.Address(), "node/secret")
	stranger := actor.NewPID("127.0.0.1:1", "future$1")
	watch := body(t, &actor.Watch{Watcher: stranger})
	unknownKind := body(t, &Frame{Kind: 0xfffe, Data: []byte{Version, 0x80}})
	tooBig := body(t, &Frame{Kind: kindNote, Data: make([]byte, MaxBody+1)})
	for _, tc := range []struct {
		name   string
		msg    *remote.RemoteMessage
		reason Refusal
	}{
		{"stop an actor", batch("actor.Stop", nil, d.echo, nil, nil), RefusedType},
		{"poison an actor", batch("actor.PoisonPill", nil, d.echo, nil, nil), RefusedType},
		{"watch an actor", batch("actor.Watch", watch, d.echo, nil, nil), RefusedType},
		{"announce a death", batch("actor.Terminated", body(t, &actor.Terminated{Who: d.echo}), d.echo, nil, nil), RefusedType},
		{"spawn an actor", batch("remote.ActorPidRequest", nil, actor.NewPID(d.Address(), "activator"), nil, nil), RefusedType},
		{"unknown type", batch("no.such.Type", nil, d.echo, nil, nil), RefusedType},
		{"actor that is not on the list", batch(frameName, frame(t, "x"), secret, nil, nil), RefusedTarget},
		{"dead letter answer to an actor", batch(deadLetterName, nil, d.echo, nil, nil), RefusedTarget},
		{"unknown kind", batch(frameName, unknownKind, d.echo, nil, nil), RefusedKind},
		{"body too big", batch(frameName, tooBig, d.echo, nil, nil), RefusedSize},
		{"garbage bytes", batch(frameName, []byte{0xff, 0xff, 0xff}, d.echo, nil, nil), RefusedMalformed},
		{"type index", batch(frameName, frame(t, "x"), d.echo, nil, func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 9 }), RefusedMalformed},
		{"target index", batch(frameName, frame(t, "x"), d.echo, nil, func(b *remote.MessageBatch) { b.Envelopes[0].Target = -1 }), RefusedMalformed},
		{"sender index", batch(frameName, frame(t, "x"), d.echo, nil, func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 1 }), RefusedMalformed},
		{"JSON serializer", batch(frameName, []byte("{}"), d.echo, nil, func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 1 }), RefusedMalformed},
		{"sender of ours", batch(frameName, frame(t, "x"), d.echo, secret, nil), RefusedMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := d.Refused()[tc.reason.String()]
			s := connect(t, d)
			for _, m := range []*remote.RemoteMessage{tc.msg, batch(frameName, frame(t, tc.name), d.echo, nil, nil)} {
				if err := s.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			d.expect(t, tc.name) // the same stream and the same actor go on
			if after := d.Refused()[tc.reason.String()]; after != before+1 {
				t.Errorf("counted %d, want %d: %v", after, before+1, d.Refused())
			}
		})
	}
}

func TestMessageForAnotherNodeIsNotRelayed(t *testing.T) {
	d := openDoor(t, nil)
	elsewhere := actor.NewPID("192.0.2.1:6369", "node/echo")
	if err := connect(t, d).Send(batch(frameName, frame(t, "here"), elsewhere, nil, nil)); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "here")
}

func TestRawBytesOnThePortHurtNobody(t *testing.T) {
	d := openDoor(t, nil)
	conn, err := net.Dial("tcp", d.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n\x00\xff\xfe\x10\x00")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for err == nil {
		_, err = conn.Read(buf)
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection stayed open")
	}
	if err := Probe(within5s(t), d.Address(), testCookie, nil); err != nil {
		t.Error(err)
	}
}

func TestTwoNodesAskAndAnswer(t *testing.T) {
	d := openDoor(t, nil)
	cmd := exec.CommandContext(within5s(t), os.Args[0])
	cmd.Env = append(os.Environ(), childAddress+"="+d.Address())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "node/echo: hello back\nnode/nobody: future: dead letter\nnode/secret: future: timeout\n"
	if got := string(out); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProbeTellsARightCookieFromAWrongOneAndFromSilence(t *testing.T) {
	d := openDoor(t, nil)
	if err := Probe(within5s(t), d.Address(), testCookie, nil); err != nil {
		t.Errorf("right cookie: %v", err)
	}
	if err := Probe(within5s(t), d.Address(), "guess", nil); !errors.Is(err, ErrCookie) {
		t.Errorf("wrong cookie: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	if err := Probe(within5s(t), free, testCookie, nil); err == nil || errors.Is(err, ErrCookie) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestStartNamesWhatIsWrong(t *testing.T) {
	d := openDoor(t, nil)
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"port in use":  {Options{Listen: d.Address(), Cookie: "x"}, "address already in use"},
		"no cookie":    {Options{Listen: "127.0.0.1:0"}, "node.cookie"},
		"no port":      {Options{Listen: "127.0.0.1", Cookie: "x"}, "host:port"},
		"named port":   {Options{Listen: "127.0.0.1:mqtt", Cookie: "x"}, "not a number"},
		"unknown host": {Options{Listen: "256.0.0.1:1", Cookie: "x"}, "256.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			system := actor.NewActorSystemWithConfig(actor.Configure(QuietFramework(nil)))
			if _, err := Start(system, tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestMutualTLSRefusesPlainTextAndStrangers(t *testing.T) {
	mutual := selfSigned(t)
	d := openDoor(t, func(o *Options) { o.TLS = mutual })
	if err := Probe(within5s(t), d.Address(), testCookie, mutual); err != nil {
		t.Errorf("with certificate: %v", err)
	}
	if err := Probe(within5s(t), d.Address(), testCookie, nil); err == nil {
		t.Error("plain text was let in")
	}
	stranger := mutual.Clone()
	stranger.Certificates = nil
	if err := Probe(within5s(t), d.Address(), testCookie, stranger); err == nil {
		t.Error("a client without certificate was let in")
	}
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
}

// FuzzFilter feeds arbitrary batches through the filter and then does with the rest what the framework does, which
// trusts every index.
func FuzzFilter(f *testing.F) {
	seed, err := Encode(kindNote, &note{Text: "seed"})
	if err != nil {
		f.Fatal(err)
	}
	data, err := proto.Marshal(seed.(*Frame))
	if err != nil {
		f.Fatal(err)
	}
	good, err := proto.Marshal(batch(frameName, data, actor.NewPID("h:1", "node/echo"), actor.NewPID("h:2", "future$1"), nil).GetMessageBatch())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		var m remote.MessageBatch
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		g := newGuard(Options{Targets: []string{"node/echo"}}, func() string { return "h:1" })
		g.filter(&m)
		for _, e := range m.Envelopes {
			if e.Sender > 0 {
				_ = m.Senders[e.Sender-1]
			}
			if id := m.Targets[e.Target].Id; id != "node/echo" && !strings.HasPrefix(id, futurePrefix) {
				t.Fatalf("target %q passed", id)
			}
			v, err := remote.Deserialize(e.MessageData, m.TypeNames[e.TypeId], e.SerializerId)
			if err != nil {
				if m.TypeNames[e.TypeId] == frameName {
					t.Fatalf("a frame passed that ends the stream: %v", err)
				}
				continue
			}
			if fr, ok := v.(*Frame); ok {
				if _, err := fr.Deserialize(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
