package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse turns the text of a value into what a struct holds: string, int,
// float64, bool, time.Duration, []string or map[string]int. Its errors say what
// was expected, and do not repeat the text.
func (k *Key) parse(text string) (any, error) {
	if k.infinity && text == "infinity" {
		text = "0"
	}
	switch k.Kind {
	case Int:
		n, err := strconv.Atoi(text)
		return n, expected(err, "a whole number")
	case Float:
		f, err := strconv.ParseFloat(text, 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			err = strconv.ErrRange
		}
		return f, expected(err, "a number")
	case Bool:
		return parseBool(text, "true or false")
	case Flag:
		return parseBool(text, "on or off")
	case Enum:
		if !slices.Contains(k.Values, text) {
			return nil, fmt.Errorf("expected one of %s", strings.Join(k.Values, ", "))
		}
		return text, nil
	case Duration:
		return parseDuration(text)
	case Bytesize:
		return parseBytesize(text)
	case Percent:
		return parsePercent(text)
	case Address:
		return parseAddress(text)
	case MessageRates:
		return parseMessageRate(text)
	case Socket:
		return parseSocket(text)
	case HostPort:
		return parseHostPort(text)
	case List:
		return parseList(text), nil
	case HostPorts:
		return parseHostPorts(text)
	case Seeds:
		return parseSeeds(text)
	case Priorities:
		return parsePriorities(text)
	case Access:
		return parseAccess(text)
	case Source:
		return parseSource(text)
	case DurabilityOf:
		return parseDurability(text)
	case SyncPolicy:
		_, err := parseSync(text)
		return strings.Join(strings.Fields(text), " "), err
	case Networks:
		return parseNetworks(text)
	case BurstRate:
		return parseRate(text)
	}
	return text, nil // String, File
}

// format is the inverse of parse: it writes a value as a file would.
func (k *Key) format(v any) string {
	switch v := v.(type) {
	case int:
		if k.Kind == Bytesize {
			return formatBytesize(v)
		}
		return strconv.Itoa(v)
	case float64:
		if k.Kind == Percent {
			return strconv.FormatFloat(v*100, 'g', 10, 64) + "%"
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		switch k.Kind {
		case Enum:
			return k.Values[boolIndex(v)]
		case Flag:
			return [...]string{"off", "on"}[boolIndex(v)]
		}
		return strconv.FormatBool(v)
	case time.Duration:
		return formatDuration(v)
	case map[string]int:
		return formatPriorities(v)
	case []string:
		return strings.Join(v, ",")
	case []netip.Prefix:
		return formatNetworks(v)
	}
	return fmt.Sprint(v)
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

func expected(err error, what string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("expected %s that is not as large as this", what)
	}
	return fmt.Errorf("expected %s", what)
}

func parseBool(text, what string) (any, error) {
	switch text {
	case "true", "on":
		return true, nil
	case "false", "off":
		return false, nil
	}
	return nil, fmt.Errorf("expected %s", what)
}

// durationUnits from the largest to the smallest, so that formatting can take
// them in turn. f is a fortnight: the set is the one of EMQ's own parser.
var durationUnits = []struct {
	name string
	unit time.Duration
}{
	{"f", 14 * 24 * time.Hour},
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

var errDuration = errors.New("expected a duration such as 30s, 5m, 2h, 1d2h or 500ms (a bare number is seconds)")

// parseDuration reads one or more numbers with units. A bare number is seconds:
// that is what EMQ 2.0 meant by `mqtt.session.retry_interval = 60`.
func parseDuration(text string) (any, error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	if text == "" {
		return nil, errDuration
	}
	var total time.Duration
	for text != "" {
		i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return nil, errDuration
		}
		j := i + strings.IndexFunc(text[i:]+"0", func(r rune) bool { return r < 'a' || r > 'z' })
		d, err := durationPart(text[:i], text[i:j])
		if err != nil {
			return nil, err
		}
		if total += d; total < 0 {
			return nil, errors.New("expected a duration of less than 292 years")
		}
		text = text[j:]
	}
	return total, nil
}

func durationPart(number, unit string) (time.Duration, error) {
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errDuration
	}
	for _, u := range durationUnits {
		if u.name == unit {
			if n *= float64(u.unit); n >= math.MaxInt64 {
				return 0, errors.New("expected a duration of less than 292 years")
			}
			return time.Duration(n), nil
		}
	}
	return 0, errDuration
}

func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range durationUnits[2:] { // days are plainer than weeks and fortnights
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.unit
		}
	}
	return b.String()
}

var bytesizeUnits = []struct {
	name string
	unit int
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}}

func parseBytesize(text string) (any, error) {
	unit := 1
	for _, u := range bytesizeUnits {
		for _, name := range [...]string{u.name, strings.ToLower(u.name)} {
			if rest, ok := strings.CutSuffix(text, name); ok {
				text, unit = strings.TrimRight(rest, " \t"), u.unit
			}
		}
	}
	n, err := strconv.Atoi(text)
	if err == nil && n > math.MaxInt/unit {
		err = strconv.ErrRange
	}
	return n * unit, expected(err, "a size in bytes such as 1024, 64KB or 1MB")
}

func formatBytesize(n int) string {
	for _, u := range bytesizeUnits {
		if n != 0 && n%u.unit == 0 {
			return strconv.Itoa(n/u.unit) + u.name
		}
	}
	return strconv.Itoa(n)
}

func parsePercent(text string) (any, error) {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("expected a percentage such as 20%")
	}
	if percent {
		f /= 100
	}
	return f, nil
}

var errAddress = errors.New("expected a port, IP:port or [IPv6]:port, such as 1883, 127.0.0.1:1883 or [::1]:1883")

// parseAddress reads the address of a listener. A bare port means all IPv4
// addresses, as with EMQ. The last colon separates the port, also in `::1:1883`.
func parseAddress(text string) (any, error) {
	host, port, err := splitAddress(text)
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, errAddress
	}
	return net.JoinHostPort(ip.String(), port), nil
}

// parseHostPort reads an address that others dial: its host may be a name.
func parseHostPort(text string) (any, error) {
	if address, err := parseAddress(text); err == nil {
		return address, nil
	}
	host, port, err := splitAddress(text)
	if err != nil || !isHostName(host) {
		return nil, errors.New("expected host:port, such as 192.0.2.7:6369 or node1.example.com:6369")
	}
	return net.JoinHostPort(host, port), nil
}

func splitAddress(text string) (host, port string, err error) {
	host, port = "0.0.0.0", text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		host, port = text[:i], text[i+1:]
		if h, ok := strings.CutPrefix(host, "["); ok {
			host, ok = strings.CutSuffix(h, "]")
			if !ok {
				return "", "", errAddress
			}
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", errAddress
	}
	return host, strconv.FormatUint(n, 10), nil
}

// isHostName tells whether s may be a name in the DNS; it does not look it up.
func isHostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		if !ok || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return len(s) <= 253
}

// parseList cuts at commas and drops blanks and empty words.
func parseList(text string) []string {
	var words []string
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// parseHostPorts reads the addresses of several servers.
func parseHostPorts(text string) (any, error) {
	all := parseList(text)
	for i, w := range all {
		address, err := parseHostPort(w)
		if err != nil {
			return nil, err
		}
		all[i] = address.(string)
	}
	return all, nil
}

// parsePriorities reads `topic/1=10,topic/2=8`. The number stands behind the
// last `=`, because a topic may hold one.
func parsePriorities(text string) (any, error) {
	var m map[string]int
	for _, w := range parseList(text) {
		i := strings.LastIndexByte(w, '=')
		if i <= 0 || strings.ContainsAny(w[:i], "+#") {
			return nil, errors.New("expected topic=number, separated by commas; a topic has no wildcards")
		}
		n, err := strconv.Atoi(strings.TrimSpace(w[i+1:]))
		if err != nil {
			return nil, errors.New("expected topic=number, separated by commas")
		}
		if m == nil {
			m = map[string]int{}
		}
		m[strings.TrimSpace(w[:i])] = n
	}
	return m, nil
}

func formatPriorities(m map[string]int) string {
	words := make([]string, 0, len(m))
	for topic, n := range m {
		words = append(words, topic+"="+strconv.Itoa(n))
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}
