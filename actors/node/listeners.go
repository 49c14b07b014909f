package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"emqttd/actors/kernel"
	"emqttd/actors/listeners"
	"emqttd/config"
)

// maxFrame is the largest WebSocket frame a client may send. Its payload is
// passed on as it comes, so that this costs no memory: it only tells those who
// do not speak WebSocket from those who put many packets into a frame.
const maxFrame = 16 << 20

// listenerOptions are what a configuration says of one of its listeners.
func (n *Node) listenerOptions(c *config.Config, l *config.Listener) (listeners.Options, error) {
	o := listeners.Options{
		Name: l.Type + "." + l.Name, Protocol: "mqtt:" + l.Type, Address: l.Address,
		Acceptors: l.Acceptors, MaxClients: l.MaxClients, Backlog: l.Backlog,
		NoDelay: l.NoDelay, RecBuf: l.RecBuf, SndBuf: l.SndBuf, ReuseAddr: l.ReuseAddr,
		MaxConnRate: l.MaxConnRate, Access: l.Access, Rate: l.RateLimit,
		MessageRate: l.MessageRate, TotalMessageRate: l.TotalMessageRate, Mountpoint: l.Mountpoint,
		PerSource: listeners.PerSource{Clients: l.MaxClientsPerIP, ConnRate: l.MaxConnRatePerIP},
	}
	if path, ok := l.SocketPath(); ok {
		o.Path = n.config.Path(path)
		mode, err := l.SocketPerm()
		if err != nil {
			return o, fmt.Errorf("%s.socket_mode: %w", l.Key(), err)
		}
		o.Mode = mode
	}
	if l.SendTimeoutClose {
		o.SendTimeout = l.SendTimeout
	}
	if l.ProxyProtocol {
		o.Proxy = &listeners.Proxy{Timeout: l.ProxyTimeout, Trusted: l.ProxyTrusted}
	}
	if l.Type == config.ListenerWS || l.Type == config.ListenerWSS {
		o.WebSocket = &listeners.WebSocket{
			Path: l.Path, AnyProtocol: !c.MQTT.WebsocketProtocolHeader,
			MaxFrameSize: max(maxFrame, c.MQTT.MaxPacketSize), Origins: l.Origins,
			AddressHeader: l.AddressHeader, PortHeader: l.PortHeader, Trusted: l.ProxyTrusted,
		}
	}
	if l.Type == config.ListenerSSL || l.Type == config.ListenerWSS {
		var err error
		if o.TLS, err = n.tlsOptions(l); err != nil {
			return o, fmt.Errorf("%s: %w", l.Key(), err)
		}
	}
	o.Socket = n.options.Sockets[o.Name]
	return o, nil
}

func (n *Node) buildListeners() error {
	for i := range n.config.Listeners {
		l := &n.config.Listeners[i]
		o, err := n.listenerOptions(n.config, l)
		if err != nil {
			return err
		}
		switch l.Type {
		case config.ListenerAPI:
			n.listeners = append(n.listeners, listeners.NewHTTP(o, n.log, n.httpServer))
		default:
			n.listeners = append(n.listeners, listeners.New(o, n.connections))
		}
	}
	return nil
}

// Where the certificate is unless the configuration says otherwise.
const (
	defaultCert = "etc/certs/cert.pem"
	defaultKey  = "etc/certs/key.pem"
)

func (n *Node) tlsOptions(l *config.Listener) (*listeners.TLS, error) {
	cert, key := l.CertFile, l.KeyFile
	if cert == "" && key == "" {
		cert, key = defaultCert, defaultKey
	}
	o := &listeners.TLS{
		CertFile: n.config.Path(cert), KeyFile: n.config.Path(key), Make: cert == defaultCert && key == defaultKey,
		VerifyPeer: l.VerifyPeer, Require: l.FailIfNoPeerCert, UserName: l.PeerCertAsUsername,
		NoTickets: !l.ReuseSessions, Timeout: l.HandshakeTimeout, FetchStaple: l.OCSPStapling,
	}
	for name, file := range map[*string]string{&o.CRLFile: l.CRLFile, &o.StapleFile: l.OCSPStapleFile} {
		if file != "" {
			*name = n.config.Path(file)
		}
	}
	if l.CACertFile != "" {
		o.CAFile = n.config.Path(l.CACertFile)
	}
	var err error
	if o.Lowest, o.Highest, err = l.TLSRange(); err != nil {
		return nil, err
	}
	o.Ciphers, err = l.CipherSuites()
	return o, err
}

// Why a listener is not started or stopped.
var (
	errNoListener = errors.New("there is no such listener")
	errOfPlugin   = errors.New("it goes with its plugin: plugins load, unload or reload")
	errIsOpen     = errors.New("it is started already")
	errIsStopped  = errors.New("it is stopped already")
	errNoAnswer   = errors.New("no answer in time")
)

func (n *Node) startListener(name string) error {
	for _, l := range n.listeners {
		if l.Options().Name == name {
			return n.changeListeners(func(reply func(error)) any {
				return &kernel.AddChild{Spec: l.Spec(), Reply: func(_ *actor.PID, err error) { reply(err) }}
			})
		}
	}
	return n.missing(name)
}

// missing is why a listener cannot be changed that the node does not have.
func (n *Node) missing(name string) error {
	for _, l := range n.plugins.listeners() {
		if l.Name == name {
			return errOfPlugin
		}
	}
	return errNoListener
}

// reloadListener has a listener read its certificates again, or all that have
// some where name is empty.
func (n *Node) reloadListener(name string) error {
	var errs []error
	found := false
	for _, l := range n.listeners {
		if this := l.Options().Name; name == "" || this == name {
			found = true
			if err := l.Reload(); err != nil && !(name == "" && errors.Is(err, listeners.ErrNoFiles)) {
				errs = append(errs, err)
			}
		}
	}
	if !found {
		return n.missing(name)
	}
	return errors.Join(errs...)
}

func (n *Node) stopListener(name string) error {
	for _, l := range n.listeners {
		if l.Options().Name == name {
			return n.changeListeners(func(reply func(error)) any {
				return &kernel.RemoveChild{Name: name, Reply: reply}
			})
		}
	}
	return n.missing(name)
}

// changeListeners asks the supervisor of the listeners for a change and waits
// until it is done.
func (n *Node) changeListeners(message func(reply func(error)) any) error {
	done := make(chan error, 1)
	n.system.Root.Send(n.system.NewLocalPID("node/listeners"), message(func(err error) { done <- err }))
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case err := <-done:
		switch {
		case errors.Is(err, kernel.ErrChildExists):
			return errIsOpen
		case errors.Is(err, kernel.ErrNoChild):
			return errIsStopped
		}
		return err
	case <-timer.C:
		return errNoAnswer
	}
}
