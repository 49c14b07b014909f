package ldap

import (
	"regexp"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"emqttd/actors/access/template"
)

// naming is the attribute that holds a client's name. Its zero value is unknown.
type naming struct {
	attribute   string
	placeholder byte
}

var assertion = regexp.MustCompile(`([A-Za-z][A-Za-z0-9-]*)=%([uc])(?:[,)]|$)`)

// parseNaming finds it in a filter or a distinguished name: (uid=%u), uid=%u,ou=users.
func parseNaming(text string) naming {
	found := assertion.FindStringSubmatch(text)
	if found == nil {
		return naming{}
	}
	return naming{attribute: found[1], placeholder: found[2][0]}
}

// is tells whether the entry has the client's name letter by letter.
func (n naming) is(e *ldap.Entry, v *template.Values) bool {
	return n.attribute == "" || slices.Contains(e.GetEqualFoldAttributeValues(n.attribute), v.Get(n.placeholder))
}
