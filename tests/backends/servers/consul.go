package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Consul is an agent that is the only server of its datacenter. It keeps all in
// memory: started again it is empty.
func Consul(t testing.TB) *Server {
	t.Helper()
	program := consulProgram(t)
	var ports [3]string
	for i := range ports {
		addr, err := freeAddr()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = port(addr)
	}
	return shared(t, kind{
		name: "consul", program: program, stop: syscall.SIGTERM,
		prepare: func(s *Server) (err error) {
			if s.TLSAddr, err = freeAddr(); err != nil {
				return err
			}
			conf, err := json.Marshal(map[string]any{
				"ports": map[string]any{"https": json.Number(port(s.TLSAddr))},
				"tls":   map[string]any{"https": map[string]any{"cert_file": s.CertFile, "key_file": s.keyFile()}},
			})
			if err != nil {
				return err
			}
			return os.WriteFile(s.path("consul.json"), conf, 0o600)
		},
		args: func(s *Server) []string {
			return []string{
				"agent", "-dev", "-node", "consul", "-bind", "127.0.0.1", "-log-level", "warn", "-config-file", s.path("consul.json"),
				"-http-port", port(s.Addr), "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
				"-server-port", ports[0], "-serf-lan-port", ports[1], "-serf-wan-port", ports[2],
			}
		},
		ready: consulLeads,
	})
}

// consulLeads asks whether there is a leader: before, nothing can be written.
func consulLeads(ctx context.Context, s *Server) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/v1/status/leader", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err == nil && (resp.StatusCode != http.StatusOK || len(text) < 3) {
		err = fmt.Errorf("there is no leader: %s %s", resp.Status, text)
	}
	return err
}

// consulProgram is what `make consul` has built.
func consulProgram(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^CONSUL_VERSION := (\S+)$`).FindSubmatch(makefile)
	if version == nil {
		t.Fatal("the Makefile has no CONSUL_VERSION")
	}
	program := filepath.Join(root, ".cache/bin", "consul-"+strings.TrimSpace(string(version[1])))
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
		missing(t, "there is no Consul: run `make consul`")
	}
	return program
}

// Freeze holds the server where it is: it answers nothing, and its connections
// stay. It goes on with Thaw, or at the end of the test.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, stopSignal)
	t.Cleanup(func() { s.Thaw(t) })
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signal(t, continueSignal)
}

func (s *Server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
