package sqlauth

import (
	"slices"
	"strings"
	"testing"

	"emqttd/actors/access/template"
	"emqttd/tests/backends/suite"
)

func TestPrepareMakesParametersOfPlaceholders(t *testing.T) {
	for _, c := range []struct{ text, mysql, pgsql, params string }{
		{"select password from mqtt_user where username = '%u' limit 1", "select password from mqtt_user where username = ? limit 1", "select password from mqtt_user where username = $1 limit 1", "u"},
		{
			"select allow from mqtt_acl where ipaddr = '%a' or username = '%u' or username = '$all' or clientid = '%c'",
			"select allow from mqtt_acl where ipaddr = ? or username = ? or username = '$all' or clientid = ?",
			"select allow from mqtt_acl where ipaddr = $1 or username = $2 or username = '$all' or clientid = $3", "auc",
		},
		{"select 1 where a = %u and b=%c;", "select 1 where a = ? and b=?", "select 1 where a = $1 and b=$2", "uc"},
		{"select '%u', '%u'", "select ?, ?", "select $1, $2", "uu"},
		{"select concat('dev-', '%c')", "select concat('dev-', ?)", "select concat('dev-', $1)", "c"},
		{"select 'it''s', '%P', '100%', 'x like %unit'", "select 'it''s', '%P', '100%', 'x like %unit'", "select 'it''s', '%P', '100%', 'x like %unit'", ""},
		{"select a%c, (a)%u -- '%u'\n, /* '%u' */ 1", "select a%c, (a)%u  ,   1", "select a%c, (a)%u  ,   1", ""},
	} {
		for _, d := range []struct {
			dialect Dialect
			want    string
		}{{MySQL, c.mysql}, {PostgreSQL, c.pgsql}} {
			q, err := Prepare(c.text, d.dialect)
			if err != nil || q.Text != d.want || string(q.params) != c.params {
				t.Errorf("%q became %+v, %v; want %q with %q", c.text, q, err, d.want, c.params)
			}
		}
	}
}

func TestPrepareKnowsWhatIsALiteralInEachLanguage(t *testing.T) {
	for _, c := range []struct {
		text, want string
		d          Dialect
	}{
		{`select "%u", ` + "`%c`", "select ?, `%c`", MySQL},
		{`select "%u"`, `select "%u"`, PostgreSQL},
		{`select 'a\'', '%u'`, `select 'a\'', ?`, MySQL},
		{`select 'a\', '%u'`, `select 'a\', $1`, PostgreSQL},
		{"select 1 # '%u'\n", "select 1", MySQL},
		{"select a #> b", "select a #> b", PostgreSQL},
		{"select a::text ? b", "select a::text ? b", PostgreSQL},
	} {
		q, err := Prepare(c.text, c.d)
		if err != nil || strings.TrimSpace(q.Text) != c.want {
			t.Errorf("%q became %+v, %v; want %q", c.text, q, err, c.want)
		}
	}
}

func TestPrepareRefusesWhatWouldNotBeAsked(t *testing.T) {
	for _, c := range []struct {
		text string
		d    Dialect
	}{
		{"select 1 where a = 'x-%u'", MySQL},
		{"select 1 where a = '%u-x'", PostgreSQL},
		{"select 1 where a = '%u%c'", PostgreSQL},
		{"select 1 where a = 'open", MySQL},
		{`select 1 where a = 'open\'`, MySQL},
		{"select 1; drop table mqtt_user", MySQL},
		{"select 1 where a = ?", MySQL},
		{"select 1 where a = $1", PostgreSQL},
		{"select $$x$$", PostgreSQL},
	} {
		if q, err := Prepare(c.text, c.d); err == nil {
			t.Errorf("%q is taken: %q", c.text, q.Text)
		}
	}
}

func TestHostileTextsStayParameters(t *testing.T) {
	q, err := Prepare("select password from mqtt_user where username = '%u' and clientid = '%c'", PostgreSQL)
	if err != nil {
		t.Fatal(err)
	}
	text := q.Text
	for _, hostile := range suite.Hostile {
		args := q.Args(&template.Values{Username: hostile, ClientID: hostile})
		if q.Text != text || !slices.Equal(args, []any{hostile, hostile}) {
			t.Fatalf("%.80q became %q with %v", hostile, q.Text, args)
		}
	}
	if args := q.Args(&template.Values{ClientID: "c"}); args[0] != nil || args[1] != "c" {
		t.Errorf("an undefined value is %v, want NULL", args[0])
	}
	if !q.Needs(&template.Values{Peer: "1.2.3.4"}) || q.Needs(&template.Values{ClientID: "c"}) {
		t.Error("a query is needed if one of its values is defined, and only then")
	}
}

func FuzzPrepare(f *testing.F) {
	for _, text := range append(suite.Hostile, "select 'a''b', '%u' -- x\n", `select "%c"`, "/* '%u'") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []Dialect{MySQL, PostgreSQL} {
			q, err := Prepare(text, d)
			if err != nil {
				continue
			}
			if n := len(q.Args(&template.Values{})); d.Hash && strings.Count(q.Text, "?") < n {
				t.Fatalf("%q has %d parameters in %q", text, n, q.Text)
			}
		}
	})
}
