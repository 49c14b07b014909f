package consul

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve is a server that is not Consul.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestAServerThatIsNotConsulIsBorne: the node starts, says that it cannot use it,
// and does not keep it busy.
func TestAServerThatIsNotConsulIsBorne(t *testing.T) {
	bodies := map[string]string{
		"nothing": "", "HTML": "<html>welcome</html>", "an empty list": "[]", "null": "null", "a list of null": "[null]",
		"a service without one": `[{"Service":null}]`, "an object": `{"Service":{"Meta":{"dist":"x"}}}`,
		"garbage": "\x00\xff\xfe", "a number": "1e999", "a text without end": `["` + strings.Repeat("x", 1<<20),
	}
	for name, body := range bodies {
		for _, code := range []int{http.StatusOK, http.StatusInternalServerError} {
			t.Run(name+" with "+http.StatusText(code), func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int32
				n := start(t, options(serve(t, func(w http.ResponseWriter, _ *http.Request) {
					calls.Add(1)
					w.WriteHeader(code)
					_, _ = io.WriteString(w, body)
				})))
				wait(t, time.Second)
				if got := calls.Load(); got > 40 {
					t.Errorf("%d calls in a second", got)
				}
				if len(n.found) > 0 {
					t.Errorf("found %v", n.found)
				}
			})
		}
	}
}

func TestAServerThatTakesConnectionsAndSaysNothingIsBorne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	o := options(l.Addr().String())
	o.Timeout = 100 * time.Millisecond
	start(t, o).await(t, "the alarm", raised(AlarmUnreachable))
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	o := options(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for block := strings.Repeat(" ", 1<<16); ; {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}))
	o.Timeout = patience // so that the length is what ends it
	start(t, o).await(t, "the alarm", raised(AlarmUnreachable))
}
