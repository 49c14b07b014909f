package web

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"emqttd/actors/access"
	"emqttd/actors/admin/operators"
	"emqttd/actors/admin/web/v3"
	"emqttd/protocol/topic"
)

// credentials reads those of a request: HTTP Basic, or a bearer token, which is the identifier and the secret of a key
// with a dot between.
func credentials(r *http.Request) (name, password string, given bool) {
	if name, password, given = r.BasicAuth(); given {
		return name, password, name != ""
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", "", false
	}
	return strings.Cut(token, ".")
}

// admit says which operator sends a request; it answers the request if it is none.
func (a *api) admit(w http.ResponseWriter, r *http.Request) (operators.Who, bool) {
	name, password, given := credentials(r)
	if !given {
		a.challenge(w, r, "a user name and a password, or an API key, are needed")
		return operators.Who{}, false
	}
	if who, ok := a.src.Operators.Knows(name, password); ok {
		return who, true
	}
	if a.mustWait(w, r, name) {
		return operators.Who{}, false
	}
	who, err := a.src.Operators.Check(r.Context(), name, password, isHere(r))
	switch {
	case err == nil:
		a.backoff.Succeeded(peer(r), name)
		return who, true
	case errors.Is(err, operators.ErrShipped):
		a.refuse(w, r, http.StatusForbidden, err.Error())
	case errors.Is(err, operators.ErrDenied):
		a.backoff.Failed(peer(r), name)
		a.challenge(w, r, err.Error())
	case errors.Is(err, context.Canceled):
	default:
		a.refuse(w, r, http.StatusServiceUnavailable, "authentication is not available")
	}
	return operators.Who{}, false
}

// mustWait answers a request that comes too soon after wrong passwords.
func (a *api) mustWait(w http.ResponseWriter, r *http.Request, name string) bool {
	wait := a.backoff.Wait(peer(r), name)
	if wait <= 0 {
		return false
	}
	a.tooMany(w, r, wait)
	return true
}

func (a *api) tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	a.refuse(w, r, http.StatusTooManyRequests, "too many wrong passwords")
}

func (a *api) challenge(w http.ResponseWriter, r *http.Request, message string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="emqttd"`)
	a.refuse(w, r, http.StatusUnauthorized, message)
}

// refuse answers in the shape of the path that was asked for.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	if strings.HasPrefix(r.URL.Path, v3.Prefix) {
		v3.WriteProblem(w, status, message)
		return
	}
	writeFailure(w, status, codeCredentials, message)
}

// peer is the address that a request comes from.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// isHere tells whether a request was made by a program on the node's own machine: not by a proxy there, which says for
// whom it asks, and not by a web page that a browser there shows, which reaches us under the name of its own site (DNS
// rebinding).
func isHere(r *http.Request) bool {
	if !isLoopback(r) {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return isAddress(r.Host)
}

func isLoopback(r *http.Request) bool {
	from, err := netip.ParseAddr(peer(r))
	return err == nil && from.Unmap().IsLoopback()
}

// isAddress tells whether a Host is an address or localhost.
func isAddress(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// publisher is who publishes by /mqtt/publish: a user of MQTT, or an operator, who may publish to everything.
type publisher struct{ identity *access.Identity }

func (p publisher) may(name string) bool {
	return p.identity == nil || p.identity.MayPublish(topic.Name(name))
}

// admitPublisher asks the access chain about the user of HTTP Basic, as EMQ 2.x does: with the peer's address and without
// a client identifier. Operators may publish, too. It answers the request if he may not come in.
func (a *api) admitPublisher(w http.ResponseWriter, r *http.Request) (publisher, bool) {
	name, password, given := credentials(r)
	if !given {
		a.challenge(w, r, "a user name and a password are needed")
		return publisher{}, false
	}
	if a.src.Operators.Has(name) && a.backoff.Wait(peer(r), name) <= 0 {
		who, err := a.src.Operators.Check(r.Context(), name, password, isHere(r))
		switch {
		case err == nil && who.Role >= operators.Operator:
			return publisher{}, true
		case err == nil:
			a.refuse(w, r, http.StatusForbidden, "viewers may not publish")
			return publisher{}, false
		}
	}
	if a.src.AllowAnonymous() && isLoopback(r) && !isAddress(r.Host) {
		// It may be a web page, as isHere says, and any password is good.
		a.refuse(w, r, http.StatusForbidden, "host not allowed")
		return publisher{}, false
	}
	id, decision, _ := a.src.Access.Admit(r.Context(), &access.Credentials{
		Username: name, Password: []byte(password), Peer: peer(r), Protocol: "http",
	})
	switch decision {
	case access.Accept:
		return publisher{id}, true
	case access.Unavailable:
		a.refuse(w, r, http.StatusServiceUnavailable, "authentication is not available")
	case access.TooManyAttempts:
		a.tooMany(w, r, a.src.Access.Wait(peer(r), name))
	case access.Banned:
		a.refuse(w, r, http.StatusForbidden, "banned")
	default:
		a.challenge(w, r, "wrong user name or password")
	}
	return publisher{}, false
}
