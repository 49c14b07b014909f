package config

import (
	"errors"
	"io/fs"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// unixPrefix stands before the path of a Unix socket.
const unixPrefix = "unix:"

func parseSocket(text string) (any, error) {
	path, ok := strings.CutPrefix(text, unixPrefix)
	switch {
	case !ok:
		return parseAddress(text)
	case path == "" || strings.HasSuffix(path, "/"):
		return nil, errors.New("expected unix: and the path of a socket")
	default:
		return unixPrefix + filepath.Clean(path), nil
	}
}

// SocketPath is the path of a Unix socket, see Config.Path, if that is what the
// listener has.
func (l *Listener) SocketPath() (path string, ok bool) {
	return strings.CutPrefix(l.Address, unixPrefix)
}

// SocketPerm is SocketMode as a file has it.
func (l *Listener) SocketPerm() (fs.FileMode, error) {
	if l.SocketMode == "" {
		return 0o660, nil
	}
	n, err := strconv.ParseUint(l.SocketMode, 8, 32)
	if err != nil || n > 0o777 {
		return 0, errors.New("expected permissions in octal, such as 0660")
	}
	return fs.FileMode(n), nil
}

// checkSource finds what is wrong with the options that say who a client is and
// where it comes from.
func (d *decoder) checkSource(l *Listener) {
	mode := d.at(l.Key() + ".socket_mode")
	if _, err := l.SocketPerm(); err != nil {
		d.report(mode, BadValue, err.Error()+lookup(l.Key()+".socket_mode").got(l.SocketMode))
	}
	if err := checkMountpoint(l.Mountpoint); err != nil {
		d.report(d.at(l.Key()+".mountpoint"), BadValue, err.Error())
	}
	for _, o := range l.Origins {
		if !isOrigin(o) {
			d.report(d.at(l.Key()+".origins"), BadValue, "expected self, or scheme://host, such as https://www.example.com; got "+strconv.Quote(o))
		}
	}
	for option, name := range map[string]string{".proxy_address_header": l.AddressHeader, ".proxy_port_header": l.PortHeader} {
		if name == "" {
			continue
		}
		s := d.at(l.Key() + option)
		if textproto.TrimString(name) != name || strings.ContainsAny(name, " :\t") {
			d.report(s, BadValue, "expected the name of a header, such as X-Forwarded-For")
		}
		if len(l.ProxyTrusted) == 0 && !d.wrong(d.at(l.Key()+".proxy_protocol_trusted")) {
			d.report(s, Conflict, "anybody could choose an address: name the proxies in "+l.Key()+".proxy_protocol_trusted")
		}
		if l.ProxyProtocol {
			d.report(s, Conflict, "the address comes from the PROXY protocol: remove this or "+l.Key()+".proxy_protocol")
		}
	}
}

// checkMountpoint tells what is wrong with a mount point.
func checkMountpoint(text string) error {
	if strings.ContainsAny(text, "+#\x00") || strings.HasPrefix(text, "$") || len(text) > 1024 {
		return errors.New("expected the beginning of a topic: no + or #, no $ in front, and 1024 bytes at most")
	}
	return nil
}

// isOrigin tells whether text may be in a list of origins.
func isOrigin(text string) bool {
	if text == "self" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil &&
		!strings.Contains(strings.TrimPrefix(u.Host, "*."), "*")
}
