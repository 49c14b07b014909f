package connections

import (
	"strings"

	"emqttd/actors/hooks"
	"emqttd/actors/sessions"
	"emqttd/actors/system/presence"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// tellConnected tells presence how a CONNECT was answered.
func (rt *Runtime) tellConnected(c *sessions.Client, code protocol.ReasonCode) {
	rt.hookConnected(c, code)
	if rt.Presence.On() {
		rt.Presence.Connected(&presence.Client{
			ID: c.ClientID, Username: c.Username, IP: c.Peer, Clean: c.Clean, Version: byte(c.Version),
		}, connackByte(c.Version, code))
	}
}

// tellRefused is tellConnected for a CONNECT that got no further than this.
func (h *handshake) tellRefused(code protocol.ReasonCode) {
	if !h.rt.Presence.On() && !h.rt.Sessions.Hooks.Used(hooks.ClientConnected) {
		return
	}
	p := &h.connect
	ip, _ := address(h.t.RemoteAddr())
	h.rt.hookConnected(&sessions.Client{ClientID: strings.Clone(p.ClientID), Username: strings.Clone(p.UserName), Peer: ip}, code)
	if !h.rt.Presence.On() {
		return
	}
	h.rt.Presence.Connected(&presence.Client{
		ID: strings.Clone(p.ClientID), Username: strings.Clone(p.UserName), IP: ip, Clean: p.CleanStart, Version: byte(p.Version),
	}, connackByte(p.Version, code))
}

// connackByte is what stands in the CONNACK: a return code, or a reason code of
// MQTT 5.
func connackByte(v mqtt.Version, code protocol.ReasonCode) byte {
	if v == mqtt.V5 {
		return byte(code)
	}
	rc, ok := code.ReturnCode()
	if !ok {
		rc = protocol.RefusedServerUnavailable
	}
	return byte(rc)
}
