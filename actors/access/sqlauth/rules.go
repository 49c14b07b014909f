package sqlauth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emqttd/actors/access/acl"
)

// everyone in the column username is about all clients.
const everyone = "$all"

// columns of a query for rules, in EMQ's order.
var columns = []string{"allow", "ipaddr", "username", "clientid", "access", "topic"}

// rules makes access rules of rows, which are judged from the last to the first, as
// EMQ did. A row that allows and that nobody understands is left out and named in
// skipped; one that denies is an error: what it forbids must not become possible.
func rules(origin string, names []string, rows [][]string) (all []acl.Rule, skipped error, err error) {
	at, err := places(names)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", origin, err)
	}
	all = make([]acl.Rule, 0, len(rows)+1)
	for i, row := range slices.Backward(rows) {
		r, err := rule(row, at)
		if err != nil {
			err = fmt.Errorf("%s: row %d: %w", origin, i+1, err)
			if !r.Allow {
				return nil, nil, err
			}
			skipped = err
			continue
		}
		r.Origin = origin + ": row " + strconv.Itoa(i+1)
		all = append(all, r)
	}
	return all, skipped, nil
}

// places are where the columns stand: by their names, or in EMQ's order where a
// query has others.
func places(names []string) ([]int, error) {
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, c) })
	}
	if !slices.Contains(at, -1) {
		return at, nil
	}
	if len(names) != len(columns) {
		return nil, fmt.Errorf("has the columns %s, not %s", strings.Join(names, ", "), strings.Join(columns, ", "))
	}
	return []int{0, 1, 2, 3, 4, 5}, nil
}

// rule makes one of a row. Empty columns do not constrain; several that do must all
// be true of a client. With an error r.Allow still says whether the row would allow.
func rule(row []string, at []int) (r acl.Rule, err error) {
	get := func(i int) string { return row[at[i]] }
	switch get(0) {
	case "1", "t", "true":
		r.Allow = true
	case "0", "f", "false":
	default:
		return r, fmt.Errorf("allow is %q, not 0 or 1", get(0))
	}
	if r.Who, err = who(get(1), get(2), get(3)); err != nil {
		return r, err
	}
	switch get(4) {
	case "1":
		r.Action = acl.Subscribe
	case "2":
		r.Action = acl.Publish
	case "3":
		r.Action = acl.PubSub
	default:
		return r, fmt.Errorf("access is %q, not 1, 2 or 3", get(4))
	}
	p, err := acl.NewPattern(get(5))
	if err != nil {
		return r, fmt.Errorf("topic %q: %w", get(5), err)
	}
	r.Topics = []acl.Pattern{p}
	return r, nil
}

func who(ipaddr, username, clientid string) (acl.Matcher, error) {
	var all acl.And
	if ipaddr != "" {
		n, err := acl.ParseNetwork(ipaddr)
		if err != nil {
			return nil, fmt.Errorf("ipaddr %q: %w", ipaddr, err)
		}
		all = append(all, n)
	}
	if username != "" && username != everyone {
		all = append(all, acl.User(username))
	}
	if clientid != "" {
		all = append(all, acl.ClientID(clientid))
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		return all, nil
	case username == everyone:
		return acl.All{}, nil
	}
	return nil, fmt.Errorf("ipaddr, username and clientid are all empty: write %s as username for everybody", everyone)
}
