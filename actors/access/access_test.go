package access

import "testing"

func TestWithoutModulesTheSettingsDecide(t *testing.T) {
	for _, allow := range []bool{false, true} {
		c := New(allow, !allow, nil)
		if got := c.Authenticate(&Credentials{ClientID: "c"}) == Accept; got != allow {
			t.Errorf("allow_anonymous %t: accepted %t", allow, got)
		}
		if c.MayPublish(&Credentials{}, "t") == allow || c.MaySubscribe(&Credentials{}, "t/#") == allow {
			t.Errorf("acl_nomatch allow %t is not what happens", !allow)
		}
	}
}
