package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AccessModules are the authentication modules, in their words of access.modules,
// with the beginnings of the keys that switch each on where that is auto.
var AccessModules = []struct {
	Name string
	Keys []string
}{
	{"source", []string{"auth.source."}},
	{"x509", []string{"auth.x509."}},
	{"cookie", []string{"auth.cookie."}},
	{"clientid", []string{"auth.client."}},
	{"username", []string{"auth.user.", "auth.username."}},
	{"jwt", []string{"auth.jwt."}},
	{"redis", []string{"auth.redis."}},
	{"mysql", []string{"auth.mysql."}},
	{"pgsql", []string{"auth.pgsql."}},
	{"mongo", []string{"auth.mongo."}},
	{"ldap", []string{"auth.ldap."}},
	{"http", []string{"auth.http."}},
}

// autoModules asks for those modules that are configured.
const autoModules = "auto"

// finishAccess finds out which modules there are, and who may come in without
// them.
func (d *decoder) finishAccess(cfg *Config, inOrder []setting) {
	s := d.at("access.modules")
	if slices.Equal(cfg.Access.Modules, []string{autoModules}) {
		cfg.Access.Modules = configuredModules(inOrder)
	}
	for i, m := range cfg.Access.Modules {
		m = strings.TrimPrefix(m, "emq_auth_") // the plugin of EMQ
		cfg.Access.Modules[i] = m
		switch {
		case !isAccessModule(m):
			d.report(s, BadValue, "expected auto, or some of "+accessModuleNames()+"; got "+strconv.Quote(m))
		case slices.Contains(cfg.Access.Modules[:i], m):
			d.report(s, BadValue, m+" is given twice")
		}
	}
	if anonymous := d.settings["mqtt.allow_anonymous"]; len(cfg.Access.Modules) > 0 && anonymous.Where == "" {
		cfg.MQTT.AllowAnonymous = false
	}
	d.checkLogins(cfg, users(cfg), inOrder)
	d.checkLogins(cfg, clients(cfg), inOrder)
}

// configuredModules are the modules of which a file, the environment or a flag
// sets a key, in the order in which that happens.
func configuredModules(inOrder []setting) []string {
	var found []string
	for _, s := range inOrder {
		if s.Where == "" {
			continue
		}
		for _, m := range AccessModules {
			begins := func(p string) bool { return strings.HasPrefix(s.Key, p) }
			if slices.ContainsFunc(m.Keys, begins) && !slices.Contains(found, m.Name) {
				found = append(found, m.Name)
			}
		}
	}
	return found
}

func isAccessModule(name string) bool {
	for _, m := range AccessModules {
		if m.Name == name {
			return true
		}
	}
	return false
}

func accessModuleNames() string {
	names := make([]string, len(AccessModules))
	for i, m := range AccessModules {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

// checkLogins finds names without a password, and passwords without a name.
func (d *decoder) checkLogins(cfg *Config, logins *[]Login, inOrder []setting) {
	for _, l := range *logins {
		if l.Number == "" || l.Name != "" && l.Password != "" {
			continue
		}
		for _, s := range inOrder {
			if m := memberOf[lookup(s.Key).Name]; m != nil && m.logins != nil && m.logins(cfg) == logins && split(s.Key)[2] == l.Number && !d.wrong(s) {
				d.report(s, Conflict, "a name needs a password, and a password a name")
				break
			}
		}
	}
}

// member is how the settings of one pattern get into a Config and out of it.
type member struct {
	add    func(c *Config, words []string, value any) error
	lines  func(c *Config, show func(Secret) string) []string
	logins func(c *Config) *[]Login // only for logins
}

var memberOf = map[string]*member{
	"auth.user.$n.username":            login("auth.user", "username", users),
	"auth.user.$n.password":            login("auth.user", "password", users),
	"auth.username.$name":              oldLogin("auth.username", users),
	"auth.client.$n.clientid":          login("auth.client", "clientid", clients),
	"auth.client.$n.password":          login("auth.client", "password", clients),
	"auth.client.$id":                  oldLogin("auth.client", clients),
	"auth.source.$n":                   {add: addSource, lines: sourceLines},
	"durability.$n":                    {add: addDurability, lines: durabilityLines},
	"auth.mongo.acl_query.selector.$n": {add: addSelector, lines: selectorLines},
}

func users(c *Config) *[]Login   { return &c.Auth.Users }
func clients(c *Config) *[]Login { return &c.Auth.Clients }

// addMember adds a setting of a pattern.
func (d *decoder) addMember(cfg *Config, s setting, k *Key) {
	v, err := k.parse(s.Value)
	if err == nil {
		err = memberOf[k.Name].add(cfg, split(s.Key), v)
	}
	if err != nil {
		d.report(s, BadValue, err.Error()+k.got(s.Value))
	}
}

// login is what a key auth.user.N.username is about; the last word of it says
// which half.
func login(prefix, half string, list func(*Config) *[]Login) *member {
	return &member{
		logins: list,
		add: func(c *Config, words []string, value any) error {
			all := list(c)
			i := slices.IndexFunc(*all, func(l Login) bool { return l.Number == words[2] })
			if i < 0 {
				i = len(*all)
				*all = append(*all, Login{Number: words[2]})
			}
			if half == "password" {
				(*all)[i].Password = Secret(value.(string))
			} else {
				(*all)[i].Name = value.(string)
			}
			return nil
		},
		lines: func(c *Config, show func(Secret) string) []string {
			var out []string
			for _, l := range *list(c) {
				value := l.Name
				if half == "password" {
					value = show(l.Password)
				}
				if l.Number != "" {
					out = append(out, prefix+"."+l.Number+"."+half+" = "+value)
				}
			}
			return out
		},
	}
}

// oldLogin is what a key auth.username.NAME of EMQ 2.0 is about.
func oldLogin(prefix string, list func(*Config) *[]Login) *member {
	return &member{
		add: func(c *Config, words []string, value any) error {
			*list(c) = append(*list(c), Login{Name: unescape(words[2]), Password: Secret(value.(string))})
			return nil
		},
		lines: func(c *Config, show func(Secret) string) []string {
			var out []string
			for _, l := range *list(c) {
				if l.Number == "" {
					out = append(out, prefix+"."+escape(l.Name)+" = "+l.Password.String())
				}
			}
			return out
		},
	}
}

func number(word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 {
		return 0, errors.New("expected a number at the end of the key, which says in which order they are tried")
	}
	return n, nil
}

func addSource(c *Config, words []string, value any) error {
	n, err := number(words[2])
	r := value.(SourceRule)
	r.Number = n
	c.Auth.Sources = append(c.Auth.Sources, r)
	slices.SortStableFunc(c.Auth.Sources, func(a, b SourceRule) int { return cmp.Compare(a.Number, b.Number) })
	return err
}

func sourceLines(c *Config, _ func(Secret) string) []string {
	var out []string
	for _, r := range c.Auth.Sources {
		out = append(out, fmt.Sprintf("auth.source.%d = %s", r.Number, r))
	}
	return out
}

// String is the rule as it is written.
func (r SourceRule) String() string {
	verb, network := "deny", "all"
	switch {
	case r.Username != "":
		verb = "user:" + r.Username
	case r.Allow:
		verb = "allow"
	}
	if r.Network.IsValid() {
		network = r.Network.String()
	}
	return verb + " " + network
}

func parseSource(text string) (any, error) {
	words := strings.Fields(text)
	wrong := errors.New("expected allow, deny or user:NAME, and an IP, a CIDR or all")
	if len(words) != 2 {
		return nil, wrong
	}
	var r SourceRule
	name, isUser := strings.CutPrefix(words[0], "user:")
	switch {
	case words[0] == "allow":
		r.Allow = true
	case isUser && name != "":
		r.Allow, r.Username = true, name
	case words[0] != "deny":
		return nil, wrong
	}
	if words[1] == "all" {
		return r, nil
	}
	n, err := parseNetwork(words[1])
	r.Network = n
	return r, err
}

func addSelector(c *Config, words []string, value any) error {
	n, err := number(words[4])
	m := &c.Auth.Mongo
	m.ACLSelectors = append(m.ACLSelectors, NumberedSetting{n, value.(string)})
	slices.SortStableFunc(m.ACLSelectors, func(a, b NumberedSetting) int { return cmp.Compare(a.Number, b.Number) })
	return err
}

func selectorLines(c *Config, _ func(Secret) string) []string {
	var out []string
	for _, s := range c.Auth.Mongo.ACLSelectors {
		out = append(out, fmt.Sprintf("auth.mongo.acl_query.selector.%d = %s", s.Number, s.Value))
	}
	return out
}
