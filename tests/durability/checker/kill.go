package checker

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"time"

	"emqttd/protocol/mqtt"
)

// Load is a set of clients that publish with QoS 1 and 2 to persistent sessions,
// come and go. Every broker with sessions can serve it.
func Load() []Profile {
	t := []string{"t/1", "t/2", "t/3"}
	return []Profile{
		{ID: "pub-311", Version: mqtt.V311, Topics: t, Window: 16},
		{ID: "pub-5", Version: mqtt.V5, Topics: t, Window: 16},
		{ID: "pub-clean", Version: mqtt.V311, Clean: true, Topics: t[:1], Window: 8},
		{ID: "sub-all", Version: mqtt.V5, Filters: []string{"t/#"}, QoS: 2},
		{ID: "sub-two", Version: mqtt.V311, Filters: []string{"t/1", "t/2"}, QoS: 2, Lazy: true},
		{ID: "sub-once", Version: mqtt.V311, Filters: []string{"t/+"}, QoS: 1},
		{ID: "sub-away", Version: mqtt.V311, Filters: []string{"t/2"}, QoS: 2, Absent: true},
	}
}

// Server is a broker as a process that can be killed.
type Server struct {
	Addr    string   // where it serves MQTT over TCP
	Command []string // how to start it; it stays in the foreground
	Env     []string // added to ours
	Output  *os.File // gets what it prints; nil: nobody

	cmd   *exec.Cmd
	ended chan struct{}
}

// startTime is how long a broker may take to accept connections.
const startTime = 60 * time.Second

// Start starts the broker and returns when it accepts connections.
func (s *Server) Start() error {
	s.cmd = exec.Command(s.Command[0], s.Command[1:]...)
	s.cmd.Env = append(os.Environ(), s.Env...)
	if s.Output != nil {
		s.cmd.Stdout, s.cmd.Stderr = s.Output, s.Output
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		_ = s.cmd.Wait() // Kill is how it ends
		close(ended)
	}()
	limit := time.After(startTime)
	try := time.NewTicker(5 * time.Millisecond)
	defer try.Stop()
	for {
		if c, err := s.Dial(); err == nil {
			return c.Close()
		}
		select {
		case <-try.C:
		case <-ended:
			return fmt.Errorf("%v ended: %v", s.Command, s.cmd.ProcessState)
		case <-limit:
			_ = s.cmd.Process.Kill()
			return fmt.Errorf("%v does not listen at %s", s.Command, s.Addr)
		}
	}
}

// Kill ends the process without letting it say good-bye.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// Dial connects to the broker.
func (s *Server) Dial() (net.Conn, error) { return net.DialTimeout("tcp", s.Addr, 5*time.Second) }

// Kills starts the broker, kills it at a random moment under load, and so on;
// then it starts it once more and drains the world. It returns the broken
// promises. said is told after each kill.
func (w *World) Kills(s *Server, rng *rand.Rand, kills, events int, said func(kill int)) ([]string, error) {
	w.Use(s.Dial)
	for i := range kills {
		if err := s.Start(); err != nil {
			return nil, err
		}
		w.Run(events/4+rng.IntN(events), nil)
		s.Kill()
		w.Hang()
		said(i + 1)
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	defer s.Kill()
	defer w.Hang()
	return w.Drain(2 * time.Minute), nil
}
