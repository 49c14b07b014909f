package web

import (
	"net"
	"net/http"

	"emqttd/actors/access"
	"emqttd/protocol/topic"
)

// visitor is who sent a request. The zero visitor came while anonymous access is on: on the loopback interface everybody
// may do everything then.
type visitor struct{ identity *access.Identity }

// isOperator tells whether the visitor may do what only operators may: change things, and look at who has access.
func (v visitor) isOperator() bool { return v.identity == nil || v.identity.Superuser() }

func (v visitor) mayPublish(name string) bool {
	return v.identity == nil || v.identity.MayPublish(topic.Name(name))
}

// authenticate asks the access chain about the user of HTTP Basic, as EMQ 2.x does: with the peer's address and without
// a client identifier. It answers the request if he may not come in.
func (a *api) authenticate(w http.ResponseWriter, r *http.Request) (v visitor, ok bool) {
	user, password, given := r.BasicAuth()
	if !given || user == "" {
		if a.src.AllowAnonymous {
			return visitor{}, true
		}
		challenge(w, "a user name and a password are needed (mqtt.allow_anonymous is false)")
		return visitor{}, false
	}
	if a.src.AllowAnonymous { // any are good, as with EMQ
		return visitor{}, true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	id, decision, _ := a.src.Access.Admit(r.Context(), &access.Credentials{
		Username: user, Password: []byte(password), Peer: host, Protocol: "http",
	})
	switch decision {
	case access.Accept:
		return visitor{id}, true
	case access.Unavailable:
		writeFailure(w, http.StatusServiceUnavailable, codeUnknown, "authentication is not available")
	case access.TooManyAttempts:
		writeFailure(w, http.StatusTooManyRequests, codeCredentials, "too many wrong passwords")
	case access.Banned:
		writeFailure(w, http.StatusForbidden, codeCredentials, "banned")
	default:
		challenge(w, "wrong user name or password")
	}
	return visitor{}, false
}

func challenge(w http.ResponseWriter, message string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="emqttd"`)
	writeFailure(w, http.StatusUnauthorized, codeCredentials, message)
}

func forbid(w http.ResponseWriter, message string) {
	writeFailure(w, http.StatusForbidden, codeCredentials, message)
}
