package connections

import (
	"cmp"
	"strings"

	"emqttd/actors/access"
	"emqttd/protocol"
	"emqttd/protocol/mqtt"
)

// enhanced is the enhanced authentication of a client of MQTT 5 (4.12): what its
// CONNECT began and AUTH packets carry on. A client may begin it again while it
// is connected.
type enhanced struct {
	method   string
	exchange access.Exchange // of a re-authentication under way
}

var (
	errAuthMethod = &mqtt.Error{
		Code: protocol.ProtocolError, Reason: "auth_method_changed", Clause: "MQTT-4.12.0-5",
	}
	errAuthUnexpected = &mqtt.Error{
		Code: protocol.ProtocolError, Reason: "auth_unexpected", Clause: "MQTT-4.12.1-1",
	}
	errAuthFailed = &mqtt.Error{
		Code: protocol.NotAuthorized, Reason: "auth_failure", Clause: "MQTT-4.12.0-4",
	}
)

// authenticate runs the method that the CONNECT asks for. It returns the last
// data for the client, which goes into the CONNACK, and who it is.
func (h *handshake) authenticate(cred *access.Credentials) (data []byte, user string, err error) {
	method := h.connect.Properties.AuthMethod
	x, ok := h.rt.Access.Exchange(method)
	if !ok {
		return nil, "", &refusal{code: protocol.BadAuthenticationMethod, reason: "bad_authentication_method"} // [MQTT-4.12.0-1]
	}
	if d := h.rt.Access.MayTry(cred.Peer, cred.ClientID, cred.Username); d != access.Accept {
		return nil, "", verdict(d)
	}
	data = h.connect.Properties.AuthData
	for {
		reply, done, err := x.Step(data)
		if err != nil {
			h.rt.Access.Failed(cred.Peer, cmp.Or(x.Username(), cred.Username))
			return nil, "", &refusal{code: protocol.NotAuthorized, reason: "auth_failure"} // [MQTT-4.12.0-4]
		}
		if done {
			return reply, x.Username(), nil
		}
		if err := h.challenge(method, reply); err != nil {
			return nil, "", err
		}
		if data, err = h.response(method); err != nil {
			return nil, "", err
		}
	}
}

// challenge sends an AUTH. [MQTT-4.12.0-2]
func (h *handshake) challenge(method string, data []byte) error {
	p := mqtt.Auth{Code: protocol.ContinueAuthentication, HasMethod: true, Method: method, Data: data}
	_, err := h.t.Write(p.Append(nil, mqtt.V5))
	return err
}

// response reads the AUTH that answers it. [MQTT-4.12.0-3]
func (h *handshake) response(method string) ([]byte, error) {
	header, body, err := h.next()
	if err != nil {
		return nil, err
	}
	if header.Type != mqtt.AUTH {
		return nil, errAuthUnexpected // [MQTT-3.1.2-30]
	}
	var p mqtt.Auth
	if err := p.Decode(header, body, mqtt.V5); err != nil {
		return nil, err
	}
	if p.Code != protocol.ContinueAuthentication || p.Method != method {
		return nil, errAuthMethod
	}
	return p.Data, nil
}

// auth handles an AUTH of a connected client: re-authentication (4.12.1).
func (in *intake) auth(h mqtt.Header, body []byte) *readerDone {
	r := in.r
	var p mqtt.Auth
	if err := p.Decode(h, body, r.c.client.Version); err != nil {
		return r.violation(err)
	}
	e := r.enhanced
	if e == nil {
		return r.violation(errAuthUnexpected)
	}
	if p.Method != e.method {
		return r.violation(errAuthMethod)
	}
	switch {
	case p.Code == protocol.ReAuthenticate && e.exchange == nil:
		e.exchange, _ = r.c.rt.Access.Exchange(e.method)
	case p.Code == protocol.ContinueAuthentication && e.exchange != nil:
	default:
		return r.violation(errAuthUnexpected)
	}
	return in.step(e, p.Data)
}

func (in *intake) step(e *enhanced, data []byte) *readerDone {
	reply, done, err := e.exchange.Step(data)
	if err != nil || done && e.exchange.Username() != in.r.c.client.Username {
		return in.r.violation(errAuthFailed) // [MQTT-4.12.1-2]
	}
	p := mqtt.Auth{Code: protocol.ContinueAuthentication, HasMethod: true, Method: e.method, Data: reply}
	if done {
		p.Code, e.exchange = protocol.Success, nil
	}
	a := in.answer()
	*a = p.Append(*a, mqtt.V5)
	return nil
}

// methodOf is the enhanced authentication of a CONNECT, nil if it has none.
func methodOf(p *mqtt.Connect) *enhanced {
	if !p.Properties.HasAuthMethod {
		return nil
	}
	return &enhanced{method: strings.Clone(p.Properties.AuthMethod)}
}
