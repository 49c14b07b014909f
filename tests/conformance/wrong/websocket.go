package wrong

import (
	"io"
	"net"
	"slices"

	"emqttd/tests/conformance/wire"
	"emqttd/tests/conformance/wsframe"
)

// WebSocket listens for WebSocket too, before the same right broker, and returns
// the address. Its faults are lines of their own:
//
//	ws text      text frames are taken for binary ones
//	ws align     frames that are not whole packets are lost
//	ws protocol  the subprotocol selected is not mqtt
func (b *Broker) WebSocket() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	b.listeners = append(b.listeners, l)
	b.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.bridge(c)
		}
	}()
	return "ws://" + l.Addr().String() + "/mqtt", nil
}

// bridge carries one WebSocket to the right broker.
func (b *Broker) bridge(c net.Conn) {
	protocol := "mqtt"
	if slices.Contains(b.ws, "protocol") {
		protocol = "other"
	}
	ws, err := wsframe.Upgrade(c, protocol)
	if err != nil {
		_ = c.Close()
		return
	}
	up, err := net.Dial("tcp", b.right)
	if err != nil {
		_ = c.Close()
		return
	}
	b.mu.Lock()
	b.conns = append(b.conns, c, up)
	b.mu.Unlock()
	go func() {
		_, _ = io.Copy(ws, up)
		_ = c.Close()
	}()
	defer up.Close()
	for {
		op, payload, err := ws.ReadFrame()
		if err != nil || op == wsframe.Close || op == wsframe.Text && !slices.Contains(b.ws, "text") {
			return
		}
		if slices.Contains(b.ws, "align") && !whole(payload) {
			continue
		}
		if _, err := up.Write(payload); err != nil {
			return
		}
	}
}

// whole reports whether a frame has one packet, and nothing else.
func whole(b []byte) bool {
	_, _, size, err := wire.Split(b)
	return err == nil && size > 0 && size == len(b)
}
