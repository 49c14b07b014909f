package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"
)

// shippedCookie is the cookie of EMQ's and our etc/emq.conf. Everybody knows it.
const shippedCookie = "emqsecretcookie"

// A node's name appears as one level of $SYS topics and in addresses of actors.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9_.-]+@[A-Za-z0-9_.:-]+$`)

var rules = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	// Names in errors become keys.
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("conf") })
	err := v.RegisterValidation("nodename", func(f validator.FieldLevel) bool { return nodeName.MatchString(f.Field().String()) })
	if err != nil {
		panic("config: " + err.Error()) // only for an empty name
	}
	return v
})

// validate checks the ranges of the values, and which go together.
func (d *decoder) validate(cfg *Config) {
	if err := rules().Struct(cfg); err != nil {
		var bad validator.ValidationErrors
		errors.As(err, &bad)
		for _, e := range bad {
			d.outOfRange(cfg, e)
		}
	}
	d.checkDist(cfg)
	d.checkCluster(cfg)
	d.checkListeners(cfg)
}

// at is the setting of a key; one without place where it is a default.
func (d *decoder) at(key string) setting {
	s, ok := d.settings[key]
	if !ok || s.Written == "" {
		s.Written = key
	}
	return s
}

// wrong tells whether an error was reported for the setting: its field then
// holds nothing to be checked.
func (d *decoder) wrong(s setting) bool {
	for _, p := range d.problems.Errors {
		if p.seq == s.Seq && s.Seq != 0 {
			return true
		}
	}
	return false
}

// outOfRange reports a value that a validate tag refuses.
func (d *decoder) outOfRange(cfg *Config, e validator.FieldError) {
	key, tags := keyOf(cfg, e)
	s := d.at(key)
	if d.wrong(s) {
		return
	}
	d.report(s, BadValue, rangeMessage(e, tags)+lookup(key).got(s.Value))
}

// keyOf turns the path of a field, such as Config.listeners[0].backlog or
// Config.mqtt.mqueue.priority[a/b], into its key.
func keyOf(cfg *Config, e validator.FieldError) (key, tags string) {
	path := strings.TrimPrefix(e.Namespace(), "Config.")
	t, index := reflect.TypeFor[Config](), []int(nil)
	if rest, ok := strings.CutPrefix(path, "listeners["); ok {
		number, option, _ := strings.Cut(rest, "].")
		i, _ := strconv.Atoi(number) // the validator wrote it
		t, index = reflect.TypeFor[Listener](), bound().listener[option]
		key = cfg.Listeners[i].Key()
		if option != "address" {
			key += "." + option
		}
	} else {
		key, _, _ = strings.Cut(path, "[")
		key = embedded.ReplaceAllString(key, "")
		index = bound().config[key]
	}
	return key, t.FieldByIndex(index).Tag.Get("validate")
}

// embedded structs are in the validator's paths by their Go names, and in no key.
var embedded = regexp.MustCompile(`[A-Z][A-Za-z]*\.`)

func rangeMessage(e validator.FieldError, tags string) string {
	unit := ""
	if e.Kind() == reflect.String {
		unit = " characters"
	}
	switch e.Tag() {
	case "required":
		return "a value is required"
	case "nodename":
		return "expected name@host, of letters, digits and _ . -"
	case "http_url":
		return "expected a URL, http://host:port or https://host:port"
	case "ltefield":
		return "must not be above mqtt.mqueue.high_watermark"
	case "max":
		return "must be at most " + e.Param() + unit
	}
	if strings.HasPrefix(tags, "omitempty") {
		return "must be 0, or at least " + e.Param()
	}
	return "must be at least " + e.Param()
}

// checkDist guards the door through which a node is controlled.
func (d *decoder) checkDist(cfg *Config) {
	listen, advertise, cookie := d.at("node.dist_listen"), d.at("node.dist_advertise"), d.at("node.cookie")
	if d.wrong(listen) {
		return
	}
	if cfg.Node.Cookie == shippedCookie && !isLoopback(cfg.Node.DistListen) {
		s := cookie
		if s.Where == "" {
			s = listen
		}
		d.report(s, Conflict, "everybody knows the cookie of the shipped emq.conf, and node.dist_listen is not a loopback address: "+
			"whoever reaches it would control the node; choose a node.cookie of your own")
	}
	if isUnspecified(cfg.Node.DistAdvertise) && !d.wrong(advertise) {
		s := advertise
		if s.Where == "" {
			s = listen
		}
		d.report(s, Conflict, "others cannot reach an unspecified address: set node.dist_advertise to an address or name of this host")
	}
}

// checkListeners refuses addresses that cannot be bound side by side.
func (d *decoder) checkListeners(cfg *Config) {
	taken := []struct{ key, address string }{{"node.dist_listen", cfg.Node.DistListen}}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		s := d.at(l.Key())
		if d.wrong(s) {
			continue
		}
		d.checkTLS(l)
		d.checkSource(l)
		for _, t := range taken {
			if overlap(l.Address, t.address) {
				d.report(s, Conflict, fmt.Sprintf("%s is taken by %s = %s", l.Address, t.key, t.address))
			}
		}
		taken = append(taken, struct{ key, address string }{l.Key(), l.Address})
	}
}

// isLoopback tells whether only this host reaches the address.
func isLoopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().IsLoopback()
}

// isUnspecified tells whether the address is 0.0.0.0 or ::.
func isUnspecified(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().IsUnspecified()
}

// overlap tells whether two addresses cannot be bound at the same time: same
// port, and the same IP or one that stands for all of its kind.
func overlap(a, b string) bool {
	if strings.HasPrefix(a, unixPrefix) {
		return a == b
	}
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	if errX != nil || errY != nil || x.Port() == 0 || x.Port() != y.Port() || x.Addr().Is4() != y.Addr().Is4() {
		return false
	}
	return x.Addr() == y.Addr() || x.Addr().IsUnspecified() || y.Addr().IsUnspecified()
}
