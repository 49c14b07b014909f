package sqlauth

import "testing"

func TestRowsBecomeRulesFromTheLastToTheFirst(t *testing.T) {
	names := []string{"allow", "ipaddr", "username", "clientid", "access", "topic"}
	all, skipped, err := rules("q", names, [][]string{
		{"1", "", "$all", "", "2", "#"},
		{"f", "10.0.0.0/8", "joe", "c1", "3", "eq #"},
		{"t", "", "", "c2", "1", "a/%u"},
	})
	if err != nil || skipped != nil {
		t.Fatal(err, skipped)
	}
	want := []string{
		`{allow, {client, "c2"}, subscribe, ["a/%u"]}.`,
		`{deny, {'and', [{ipaddr, "10.0.0.0/8"}, {user, "joe"}, {client, "c1"}]}, pubsub, [{eq, "#"}]}.`,
		`{allow, all, publish, ["#"]}.`,
	}
	for i, r := range all {
		if r.String() != want[i] {
			t.Errorf("rule %d is %s, want %s", i, r, want[i])
		}
	}
	if len(all) != 3 || all[0].Origin != "q: row 3" {
		t.Errorf("%d rules, the first from %q", len(all), all[0].Origin)
	}
}

func TestColumnsAreFoundByNameOrElseByPlace(t *testing.T) {
	for _, c := range []struct {
		names, row []string
	}{
		{[]string{"topic", "ACCESS", "clientid", "username", "ipaddr", "allow"}, []string{"t", "2", "", "joe", "", "1"}},
		{[]string{"?column?", "b", "c", "d", "e", "f"}, []string{"1", "", "joe", "", "2", "t"}},
	} {
		all, _, err := rules("q", c.names, [][]string{c.row})
		if err != nil || len(all) != 1 || all[0].String() != `{allow, {user, "joe"}, publish, ["t"]}.` {
			t.Errorf("%v: %v, %v", c.names, all, err)
		}
	}
	if _, _, err := rules("q", []string{"allow", "topic"}, nil); err == nil {
		t.Error("a query with two columns is taken")
	}
}

func TestRowThatNobodyUnderstandsAllowsNothingAndIsAnErrorIfItDenies(t *testing.T) {
	names := columns
	for name, row := range map[string][]string{
		"ipaddr": {"x", "10.0.0", "joe", "", "1", "a"},
		"nobody": {"x", "", "", "", "1", "a"},
		"access": {"x", "", "joe", "", "4", "a"},
		"topic":  {"x", "", "joe", "", "1", "a/#/b"},
		"none":   {"x", "", "joe", "", "1", ""},
	} {
		row[0] = "1"
		if all, skipped, err := rules("q", names, [][]string{row}); err != nil || skipped == nil || len(all) != 0 {
			t.Errorf("%s, allowing: %v, %v, %v", name, all, skipped, err)
		}
		for _, deny := range []string{"0", "f", "", "maybe"} {
			row[0] = deny
			if all, _, err := rules("q", names, [][]string{row}); err == nil {
				t.Errorf("%s, denying by %q: %v", name, deny, all)
			}
		}
	}
	if _, _, err := rules("q", names, [][]string{{"2", "", "joe", "", "1", "a"}}); err == nil {
		t.Error("allow = 2 is taken")
	}
}
