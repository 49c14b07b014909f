package config

import (
	"maps"
	"slices"
	"strings"
)

// shortEnv are the variables which EMQ's start script knows.
var shortEnv = map[string]string{
	"EMQ_NODE_NAME":       "node.name",
	"EMQ_NODE_COOKIE":     "node.cookie",
	"EMQ_MAX_PORTS":       "node.max_ports",
	"EMQ_MAX_PACKET_SIZE": "mqtt.max_packet_size",
	"EMQ_TCP_PORT":        "listener.tcp.external",
	"EMQ_SSL_PORT":        "listener.ssl.external",
	"EMQ_WS_PORT":         "listener.ws.external",
	"EMQ_HTTP_PORT":       "listener.ws.external",
	"EMQ_WSS_PORT":        "listener.wss.external",
	"EMQ_HTTPS_PORT":      "listener.wss.external",
}

// envLayer takes settings from the environment: the short names above, and any
// key as EMQ__KEY with two underscores for each dot
// (EMQ__mqtt__max_packet_size). A name without a small letter may be used for
// keys in small letters. An empty short variable counts as unset.
func (l *loader) envLayer(environ []string) layer {
	vars := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, "EMQ_") && name != "EMQ_HOME" {
			vars[name] = value
		}
	}
	m := layer{}
	l.layer = LayerEnvironment
	for _, name := range slices.Sorted(maps.Keys(vars)) { // EMQ__ sorts behind EMQ_A…, and wins
		l.seq++
		where := "environment: " + name
		key, general := strings.CutPrefix(name, "EMQ__")
		if general {
			key = strings.ReplaceAll(key, "__", ".")
			if key == strings.ToUpper(key) {
				key = strings.ToLower(key)
			}
		} else if key = shortEnv[name]; key == "" {
			l.problems.add(Problem{Where: where, Cause: NoEffect, Message: "no such variable is known; it has no effect", seq: l.seq})
			continue
		} else if vars[name] == "" {
			continue
		}
		l.outside(m, where, key, vars[name])
	}
	return m
}

// flagLayer takes settings from the command line.
func (l *loader) flagLayer(flags map[string]string) layer {
	m := layer{}
	l.layer = LayerFlag
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		l.seq++
		l.outside(m, "flag", key, flags[key])
	}
	return m
}

// outside adds a setting that comes from no file. The rules for text are those
// of a file.
func (l *loader) outside(m layer, where, key, value string) {
	fail := func(message string) {
		l.problems.add(Problem{Where: where, Cause: Syntax, Message: message, seq: l.seq})
	}
	if message := checkKey(key); message != "" {
		fail(message)
		return
	}
	if checkText(value) != "" {
		fail("the value is not UTF-8 text without control characters")
		return
	}
	s := setting{Written: key, Value: strings.Trim(value, " \t"), Raw: value, Where: where, Layer: l.layer, Seq: l.seq}
	if l.identify(&s) {
		m[s.Key] = s
	}
}
