package access

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"emqttd/actors/access/acl"
	"emqttd/tests/testkit"
)

// That strict wildcards are the default changes nothing for who has the rules that
// EMQ ships, or ours.
func TestShippedRulesMeanTheSameWithStrictWildcardsAndWithout(t *testing.T) {
	for _, name := range []string{"tests/fixtures/acl-v2.0.conf", "tests/fixtures/acl-v2.3.11.conf", "etc/acl.conf"} {
		text, err := os.ReadFile(filepath.Join(testkit.Root(), name))
		must(t, err)
		all, err := acl.Parse(name, text)
		must(t, err)
		for _, client := range []acl.Client{
			{ClientID: "c", Username: "u", Addr: netip.MustParseAddr("10.0.0.1")},
			{ClientID: "c", Username: "dashboard", Addr: netip.MustParseAddr("10.0.0.1")},
			{ClientID: "c", Username: "u", Addr: netip.MustParseAddr("127.0.0.1")},
		} {
			for _, filter := range []string{
				"#", "+", "+/#", "+/+", "+/+/#", "a", "a/#", "a/+/b", "/#", "/+", "$SYS", "$SYS/#", "$SYS/+", "$SYS/brokers", "$SYS/+/brokers/#", "$other/#", "$+/x", "+/brokers",
			} {
				strict := acl.Judge(all, &client, acl.Subscribe, filter, true)
				if loose := acl.Judge(all, &client, acl.Subscribe, filter, false); strict != loose {
					t.Errorf("%s: %s as %s from %v: rule %d, and %d if loose", name, filter, client.Username, client.Addr, strict, loose)
				}
			}
		}
	}
}
