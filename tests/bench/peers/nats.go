package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ackPending is how many messages of QoS 1 or 2 NATS lets a subscription leave
// unacknowledged; its default is 1,024. A session drains 10,000 in a comparison,
// and 65,535 in all is what it allows a session that has subscribed at QoS 2.
const ackPending = 10_000

// nats is NATS server with MQTT. It keeps sessions and messages of QoS 1 and 2 in
// JetStream, in files, as its documentation has it; its defaults stay.
func nats(ctx context.Context, p place) error {
	if p.dir == "" {
		return errors.New("nats needs -dir")
	}
	o := &server.Options{
		ServerName: "peer", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: p.dir, NoSigs: true, NoLog: true,
	}
	var err error
	if o.MQTT.Host, o.MQTT.Port, err = split(p.tcp); err != nil {
		return err
	}
	o.MQTT.MaxAckPending = ackPending
	if p.ws != "" {
		if o.Websocket.Host, o.Websocket.Port, err = split(p.ws); err != nil {
			return err
		}
		o.Websocket.NoTLS = true
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("nats does not start")
	}
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
