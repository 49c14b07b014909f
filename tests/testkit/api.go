package testkit

import (
	"io"
	"net/http"
	"testing"
)

// Ask asks the HTTP API for path as its administrator.
func (b *Broker) Ask(t testing.TB, path string) (body string, status int) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.Addr(API)+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ask.SetBasicAuth("admin", "public")
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), answer.StatusCode
}
