package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cookies is the module of signed cookies.
type cookies struct {
	name    string
	key     []byte
	origins []string
}

// minCookieKey is as much as cannot be guessed.
const minCookieKey = 16

// Cookies makes a module that knows clients by a cookie of the request which
// became their WebSocket. Its value is
//
//	base64url(user name) "." expiry in Unix seconds "." base64url(HMAC-SHA-256(key, all before the second dot))
//
// without padding; see SignCookie. A browser sends cookies along whichever page
// opens the WebSocket, so the page must be of the host that is asked, or be one of
// the origins, such as https://www.example.com.
func Cookies(name string, key []byte, origins []string) (Module, error) {
	if len(key) < minCookieKey {
		return nil, errors.New("auth.cookie.secret must have at least 16 bytes")
	}
	return &cookies{name, key, origins}, nil
}

// SignCookie makes the value of a cookie.
func SignCookie(key []byte, username string, expires time.Time) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(username)) + "." + strconv.FormatInt(expires.Unix(), 10)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(key, text))
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return h.Sum(nil)
}

func (m *cookies) Name() string { return "cookie" }

func (m *cookies) Authenticate(_ context.Context, c *Credentials) (Result, error) {
	if c.Header == nil {
		return Result{}, nil
	}
	cookie, err := (&http.Request{Header: c.Header}).Cookie(m.name)
	if err != nil {
		return Result{}, nil //nolint:nilerr // there is none, which is no error
	}
	if !m.trusts(c.Header) {
		return Result{Verdict: Deny, Why: "cookie: the page is of another origin"}, nil
	}
	user, expires, ok := m.read(cookie.Value)
	switch {
	case !ok:
		return Result{Verdict: Deny, Why: "cookie: not signed by us"}, nil
	case !expires.After(time.Now()):
		return Result{Verdict: Deny, Why: "cookie: expired"}, nil
	}
	return Result{Verdict: Allow, Username: user, Expires: expires, Why: "cookie: signed"}, nil
}

// read checks the signature before it looks at what was signed.
func (m *cookies) read(value string) (user string, expires time.Time, ok bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 {
		return "", time.Time{}, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(value[i+1:])
	if err != nil || !hmac.Equal(mac, sign(m.key, value[:i])) {
		return "", time.Time{}, false
	}
	name, until, _ := strings.Cut(value[:i], ".")
	b, err1 := base64.RawURLEncoding.DecodeString(name)
	seconds, err2 := strconv.ParseInt(until, 10, 64)
	return string(b), time.Unix(seconds, 0), err1 == nil && err2 == nil && len(b) > 0
}

// trusts tells whether the page that opened the WebSocket may. Programs other than
// browsers send no Origin.
func (m *cookies) trusts(h http.Header) bool {
	origin := h.Get("Origin")
	if origin == "" || slices.Contains(m.origins, origin) {
		return true
	}
	page, err := url.Parse(origin)
	host, err2 := url.Parse("//" + h.Get("Host"))
	return err == nil && err2 == nil && page.Hostname() != "" && strings.EqualFold(page.Hostname(), host.Hostname())
}
