package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"emqttd/protocol/mqtt"
)

// options are what all scenarios share; the names are those of emqtt_benchmark.
type options struct {
	host       string
	port       uint16
	subPort    uint16 // of another node, for subscribers; 0: the same
	count      int
	first      int
	interval   float64
	conc       int
	user       string
	password   string
	keepAlive  uint16
	clean      bool
	v5         bool
	prefix     string
	sources    []string
	pid        int
	json       bool
	quiet      bool
	timeout    time.Duration
	secure     bool
	insecure   bool
	caFile     string
	certFile   string
	keyFile    string
	goroutines bool
	ws         bool
	wsPath     string
}

// scenario makes a command of a function that measures.
func scenario(use, short, text string, count int, flags func(*cobra.Command), measured func(*bench) error) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + text, Args: cobra.NoArgs}
	o.flags(cmd, count)
	if flags != nil {
		flags(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runScenario(cmd, o, measured)
	}
	return cmd
}

func (o *options) flags(cmd *cobra.Command, count int) {
	f := cmd.Flags()
	f.StringVarP(&o.host, "host", "h", "127.0.0.1", "the broker's host")
	f.Uint16VarP(&o.port, "port", "p", 1883, "the broker's port")
	f.Uint16Var(&o.subPort, "sub-port", 0, "subscribers connect to this port: that of another node of the cluster")
	f.IntVarP(&o.count, "count", "c", count, "how many clients, or pairs of them")
	f.IntVarP(&o.first, "startnumber", "n", 0, "number of the first client")
	f.Float64VarP(&o.interval, "interval", "i", 0, "milliseconds between connects; 0: as fast as --conc allows")
	f.IntVar(&o.conc, "conc", 100, "connects under way at once")
	f.StringVarP(&o.user, "username", "u", "", "user name")
	f.StringVarP(&o.password, "password", "P", "", "password")
	f.Uint16VarP(&o.keepAlive, "keepalive", "k", 300, "keep alive in seconds; 0: none")
	f.BoolVarP(&o.clean, "clean", "C", true, "clean sessions; -C=false keeps them")
	f.BoolVar(&o.v5, "v5", false, "speak MQTT 5 instead of 3.1.1")
	f.StringVar(&o.prefix, "prefix", "bench", "first level of topics, and start of client identifiers")
	f.StringSliceVar(&o.sources, "ifaddr", nil, "local addresses to connect from; default: the system's choice, and 127.0.0.1 … for many clients on loopback")
	f.IntVar(&o.pid, "pid", 0, "the broker's process id: its CPU and memory are reported (Linux)")
	f.BoolVar(&o.json, "json", false, "print the report as one line of JSON")
	f.BoolVar(&o.quiet, "quiet", false, "no progress lines")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up a phase, such as connecting all, after this long")
	f.BoolVarP(&o.secure, "ssl", "S", false, "connect with TLS")
	f.BoolVar(&o.insecure, "insecure", false, "with -S: do not verify the broker's certificate")
	f.StringVar(&o.caFile, "cafile", "", "with -S: certificates to verify the broker's with, instead of the system's")
	f.StringVar(&o.certFile, "certfile", "", "with -S: the clients' certificate")
	f.StringVar(&o.keyFile, "keyfile", "", "with -S: the clients' key")
	f.BoolVar(&o.ws, "ws", false, "connect over WebSocket; with -S, over TLS below it")
	f.StringVar(&o.wsPath, "ws-path", "/mqtt", "with --ws: the path of the broker's endpoint")
	f.BoolVar(&o.goroutines, "goroutines", false, "use goroutines where epoll would be used")
}

func (o *options) check() error {
	switch {
	case o.count < 1:
		return fmt.Errorf("-c %d: at least 1", o.count)
	case o.conc < 1:
		return fmt.Errorf("--conc %d: at least 1", o.conc)
	case o.interval < 0:
		return fmt.Errorf("-i %v: not negative", o.interval)
	case o.prefix == "" || strings.ContainsAny(o.prefix, "+#$"):
		return fmt.Errorf("--prefix %q: a topic level without + # $", o.prefix)
	case !o.secure && (o.insecure || o.caFile != "" || o.certFile != "" || o.keyFile != ""):
		return errors.New("--insecure, --cafile, --certfile and --keyfile go with -S")
	case !strings.HasPrefix(o.wsPath, "/"):
		return fmt.Errorf("--ws-path %q: a path begins with /", o.wsPath)
	}
	return nil
}

func (o *options) version() mqtt.Version {
	if o.v5 {
		return mqtt.V5
	}
	return mqtt.V311
}

// resolve finds the broker's address once, so that no client asks for it.
func (o *options) resolve(ctx context.Context) (netip.AddrPort, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", o.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("-h %s: %w", o.host, err)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), o.port), nil
}

// at is where a client connects to.
func (o *options) at(to netip.AddrPort, p client) netip.AddrPort {
	if o.subPort != 0 && len(p.filters) > 0 {
		return netip.AddrPortFrom(to.Addr(), o.subPort)
	}
	return to
}

// portsOfAnAddress is how many connections to one broker we make from one local
// address. Linux ships with 28,232 ports and gives connect the even ones: behind
// 14,116 each connect searches all of them in vain first, which takes so long that
// it would look like the broker's doing.
const portsOfAnAddress = 10_000

// local are the addresses to connect from in turn; none: the system's choice.
func (o *options) local(to netip.Addr, clients int) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, s := range o.sources {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("--ifaddr %w", err)
		}
		all = append(all, a)
	}
	if len(all) > 0 || !to.Is4() || !to.IsLoopback() || clients <= portsOfAnAddress {
		return all, nil
	}
	for a := netip.AddrFrom4([4]byte{127, 0, 0, 1}); len(all) <= clients/portsOfAnAddress; a = a.Next() {
		all = append(all, a)
	}
	return all, nil
}

func (o *options) tls() (*tls.Config, error) {
	if !o.secure {
		return nil, nil
	}
	c := &tls.Config{ServerName: o.host, InsecureSkipVerify: o.insecure, MinVersion: tls.VersionTLS12}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--cafile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cafile %s: no certificate in it", o.caFile)
		}
	}
	if o.certFile != "" {
		pair, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--certfile: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// fill replaces %u, %c and %i in a topic.
func (o *options) fill(topic, client string, number int) string {
	return strings.NewReplacer("%u", o.user, "%c", client, "%i", strconv.Itoa(number)).Replace(topic)
}
