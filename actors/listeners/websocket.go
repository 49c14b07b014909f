package listeners

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"emqttd/actors/connections"
)

// WebSocket says which requests are upgraded.
type WebSocket struct {
	Path         string // empty is /mqtt
	AnyProtocol  bool   // a sub-protocol of MQTT need not be offered
	MaxFrameSize int    // bytes of payload; 0 is no bound
	// Origins are the web pages that may connect, nil for all: scheme://host, with
	// *. before a host for all below it, or self for the page of the listener.
	Origins []string
	// AddressHeader and PortHeader are those in which Trusted say who the client
	// is; empty for none.
	AddressHeader, PortHeader string
	Trusted                   []netip.Prefix
}

// maxRequest bounds a request with all its headers, cookies among them.
const maxRequest = 8 << 10

// page is a small client for browsers.
//
//go:embed page.html
var page []byte

var (
	errRequest  = errors.New("the request has no end, or is too large")
	errNotFound = errors.New("no such path")
	errOrigin   = errors.New("a page from elsewhere")
)

// answerTime bounds how long writing the answer may take, and how long we read
// on from a client that gets no WebSocket: a socket closed over unread data
// would reset the connection and take our answer with it.
const answerTime = time.Second

func linger(t connections.Transport) {
	_ = t.CloseWrite()
	_ = t.SetReadDeadline(time.Now().Add(answerTime))
	for n := 0; n < 8*maxRequest; {
		b, err := t.Read(nil)
		if err != nil {
			break
		}
		n += len(b.Data)
		b.Free()
	}
	_ = t.Close()
}

// readRequest reads a request without a body, and returns what came behind it.
func readRequest(t connections.Transport) (head, early []byte, err error) {
	for len(head) < maxRequest {
		b, err := t.Read(nil)
		if err != nil {
			return nil, nil, err
		}
		from := max(0, len(head)-3)
		head = append(head, b.Data...)
		b.Free()
		if i := bytes.Index(head[from:], []byte("\r\n\r\n")); i >= 0 {
			if end := from + i + 4; end <= maxRequest {
				return head[:end:end], bytes.Clone(head[end:]), nil
			}
			break
		}
	}
	return nil, nil, errRequest
}

// pageFor is the page, which connects to a path.
func pageFor(path string) []byte {
	quoted, err := json.Marshal(path)
	if err != nil { // strings can be marshalled
		return page
	}
	return bytes.Replace(page, []byte("'/mqtt'"), quoted, 1)
}

// exchange lets the upgrader read a request that is here, and keeps its answer.
type exchange struct {
	io.Reader
	out bytes.Buffer
}

func (e *exchange) Write(p []byte) (int, error) { return e.out.Write(p) }

// pathOf is the path of a GET, "" of anything else.
func pathOf(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	if len(words) != 3 || string(words[0]) != http.MethodGet {
		return ""
	}
	path, _, _ := bytes.Cut(words[1], []byte("?"))
	return string(path)
}

// policy keeps a browser from loading anything else into the page.
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src ws: wss:"

func response(status int, typ string, body []byte) []byte {
	if body == nil {
		body = []byte(http.StatusText(status) + "\n")
	}
	b := []byte("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n" +
		"Content-Type: " + typ + "; charset=utf-8\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" +
		"Content-Security-Policy: " + policy + "\r\nX-Content-Type-Options: nosniff\r\n" +
		"Cache-Control: no-store\r\nConnection: close\r\n\r\n")
	return append(b, body...)
}
