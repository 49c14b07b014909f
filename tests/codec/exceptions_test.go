package codec

import (
	"testing"

	"emqttd/protocol/mqtt"
)

// allowed is a kind of packet that we accept and the others refuse, and why we
// are right.
type allowed struct {
	name    string
	clause  string
	version mqtt.Version
	example []byte
	matches func(b []byte, p packet, v mqtt.Version) bool
}

var exceptions = []allowed{
	{
		name: "3.1 repeats PUBREL, SUBSCRIBE and UNSUBSCRIBE with DUP", clause: "3.1: 2.1, 3.6, 3.8, 3.10", version: mqtt.V31,
		example: []byte{0x6a, 2, 0, 1},
		matches: func(b []byte, _ packet, v mqtt.Version) bool {
			return v == mqtt.V31 && (b[0] == 0x6a || b[0] == 0x8a || b[0] == 0xaa)
		},
	},
	{
		name: "a mosquitto bridge marks the protocol level", clause: "none: as mosquitto does it", version: mqtt.V311,
		example: []byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 0x84, 2, 0, 0, 0, 1, 'c'},
		matches: connect(func(c *mqtt.Connect, _ byte) bool { return c.Bridge }),
	},
	{
		name: "a password may be empty", clause: "3.1.1: 3.1.3.5", version: mqtt.V311,
		example: []byte{0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 0, 0, 1, 'c', 0, 1, 'u', 0, 0},
		matches: connect(func(c *mqtt.Connect, _ byte) bool { return c.HasPassword && len(c.Password) == 0 }),
	},
	{
		name: "a will may be empty", clause: "3.1.1: 3.1.3.3", version: mqtt.V311,
		example: []byte{0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x06, 0, 0, 0, 1, 'c', 0, 1, 'w', 0, 0},
		matches: connect(func(c *mqtt.Connect, _ byte) bool { return c.HasWill && len(c.Will.Payload) == 0 }),
	},
	{
		name: "3.1 allows user name and password to be missing", clause: "3.1: 3.1", version: mqtt.V31,
		example: []byte{0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0xc2, 0, 0, 0, 1, 'c'},
		matches: connect(func(c *mqtt.Connect, flags byte) bool {
			return c.Version == mqtt.V31 && (flags&0x80 != 0 && !c.HasUserName || flags&0x40 != 0 && !c.HasPassword)
		}),
	},
	{
		name: "3.1 does not use the lowest flag of CONNECT", clause: "3.1: 3.1", version: mqtt.V31,
		example: []byte{0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0x03, 0, 0, 0, 1, 'c'},
		matches: connect(func(c *mqtt.Connect, flags byte) bool { return c.Version == mqtt.V31 && flags&1 != 0 }),
	},
	{
		name: "3.1 disregards will flags without a will", clause: "3.1: 3.1", version: mqtt.V31,
		example: []byte{0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0x20, 0, 0, 0, 1, 'c'},
		matches: connect(func(c *mqtt.Connect, flags byte) bool {
			return c.Version == mqtt.V31 && !c.HasWill && flags&0x38 != 0
		}),
	},
}

// connect matches CONNECT packets by their contents and their Connect Flags.
func connect(f func(c *mqtt.Connect, flags byte) bool) func([]byte, packet, mqtt.Version) bool {
	return func(b []byte, p packet, v mqtt.Version) bool {
		c, ok := p.(*mqtt.Connect)
		if !ok {
			return false
		}
		_, n, err := mqtt.ParseHeader(b, 0)
		if err != nil {
			return false
		}
		name := int(b[n])<<8 | int(b[n+1])
		return f(c, b[n+2+name+1])
	}
}

// exception is the reason for which we may accept what others refuse.
func exception(b []byte, p packet, v mqtt.Version) *allowed {
	for i := range exceptions {
		if exceptions[i].matches(b, p, v) {
			return &exceptions[i]
		}
	}
	return nil
}

// misread tells where mochi decodes without an error but not what is there.
func misread(p packet, v mqtt.Version) bool {
	switch p := p.(type) {
	case *mqtt.Disconnect:
		return mochiOverlooks(p)
	case *mqtt.Connack: // 3.1 has no Session Present: the byte is not used
		return v == mqtt.V31 || unnamed(p.Properties.HasAuthMethod, p.Properties.AuthMethod)
	case *mqtt.Publish: // an expiry of 0 is not the same as none
		return p.HasMessageExpiry && p.MessageExpiry == 0
	case *mqtt.Connect:
		return p.Will.HasMessageExpiry && p.Will.MessageExpiry == 0 ||
			unnamed(p.Properties.HasAuthMethod, p.Properties.AuthMethod)
	default:
		return false
	}
}

// unnamed tells whether an authentication method is there but empty, which mochi
// takes for absent.
func unnamed(has bool, method string) bool { return has && method == "" }

func TestExceptionsAreStillNeeded(t *testing.T) {
	for _, e := range exceptions {
		t.Run(e.name, func(t *testing.T) {
			p, err := ours(e.example, e.version)
			if err != nil {
				t.Fatalf("we refuse % x: %v", e.example, err)
			}
			if got := exception(e.example, p, e.version); got == nil || got.name != e.name {
				t.Errorf("% x is not covered by this exception", e.example)
			}
			if _, err := verdict(e.example, e.version); err == nil {
				t.Errorf("the others accept % x: the exception can go", e.example)
			}
		})
	}
}
