package config

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValuesAreReadByTheirKind(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		kind Kind
		text string
		want any // nil: refused
	}{
		{String, `any $1 # "text"`, `any $1 # "text"`},
		{File, "log/x", "log/x"},
		{Int, "1024", 1024},
		{Int, "-1", -1},
		{Int, "1KB", nil},
		{Int, "", nil},
		{Int, "9223372036854775808", nil},
		{Int, "infinity", nil},
		{Float, "0.75", 0.75},
		{Float, "1", 1.0},
		{Float, "NaN", nil},
		{Float, "inf", nil},
		{Bool, "true", true},
		{Bool, "off", false},
		{Bool, "yes", nil},
		{Flag, "on", true},
		{Flag, "false", false},
		{Flag, "", nil},
		{Duration, "30s", 30 * time.Second},
		{Duration, "500ms", 500 * time.Millisecond},
		{Duration, "1d2h", day + 2*time.Hour},
		{Duration, "1f1w", 21 * day},
		{Duration, "1.5h", 90 * time.Minute},
		{Duration, "60", time.Minute},
		{Duration, "0", time.Duration(0)},
		{Duration, "", nil},
		{Duration, "-1s", nil},
		{Duration, "1", time.Second},
		{Duration, "1x", nil},
		{Duration, "1h30", nil},
		{Duration, "h", nil},
		{Duration, "1..5h", nil},
		{Duration, "30 s", nil},
		{Duration, "99999999999999f", nil},
		{Duration, "15000w15000w", nil},
		{Bytesize, "64KB", 65536},
		{Bytesize, "64kb", 65536},
		{Bytesize, "1MB", 1 << 20},
		{Bytesize, "2GB", 2 << 30},
		{Bytesize, "1 GB", 1 << 30},
		{Bytesize, "4096", 4096},
		{Bytesize, "64Kb", nil},
		{Bytesize, "64K", nil},
		{Bytesize, "1.5MB", nil},
		{Bytesize, "KB", nil},
		{Bytesize, "9999999999999GB", nil},
		{Percent, "20%", 0.2},
		{Percent, "0.2", 0.2},
		{Percent, "%", nil},
		{Percent, "NaN%", nil},
		{Address, "1883", "0.0.0.0:1883"},
		{Address, "127.0.0.1:1883", "127.0.0.1:1883"},
		{Address, "::1:1883", "[::1]:1883"},
		{Address, "[::1]:1883", "[::1]:1883"},
		{Address, ":::1883", "[::]:1883"},
		{Address, "127.0.0.1:0", "127.0.0.1:0"},
		{Address, "localhost:1883", nil},
		{Address, ":1883", nil},
		{Address, "[::1:1883", nil},
		{Address, "127.0.0.1", nil},
		{Address, "127.0.0.1:65536", nil},
		{Address, "127.0.0.1:+1", nil},
		{HostPort, "node-1.example.com:6369", "node-1.example.com:6369"},
		{HostPort, "[::1]:6369", "[::1]:6369"},
		{HostPort, "a..b:6369", nil},
		{HostPort, "-a:6369", nil},
		{HostPort, "a b:6369", nil},
		{HostPort, "node1", nil},
		{List, "a, b,,c", []string{"a", "b", "c"}},
		{List, "", []string(nil)},
		{Priorities, "topic/1=10, a=b=2", map[string]int{"topic/1": 10, "a=b": 2}},
		{Priorities, "", map[string]int(nil)},
		{Priorities, "topic/1", nil},
		{Priorities, "=1", nil},
		{Priorities, "a/#=1", nil},
		{Priorities, "a=x", nil},
	}
	for _, test := range tests {
		k := &Key{Name: "test", Kind: test.kind}
		got, err := k.parse(test.text)
		switch {
		case test.want == nil && err == nil:
			t.Errorf("%s %q = %v, want an error", test.kind, test.text, got)
		case test.want != nil && (err != nil || !reflect.DeepEqual(got, test.want)):
			t.Errorf("%s %q = %v, %v, want %v", test.kind, test.text, got, err, test.want)
		}
	}
}

func TestEnumTakesItsWordsOnly(t *testing.T) {
	k := &Key{Kind: Enum, Values: []string{"deny", "allow"}}
	if v, err := k.parse("allow"); v != "allow" || err != nil {
		t.Errorf("allow: %v, %v", v, err)
	}
	if _, err := k.parse("Allow"); err == nil || err.Error() != "expected one of deny, allow" {
		t.Errorf("Allow: %v", err)
	}
	if k.format(true) != "allow" || k.format(false) != "deny" {
		t.Errorf("an Enum of no and yes is written %q, %q", k.format(false), k.format(true))
	}
}

func TestFormatIsTheInverseOfParse(t *testing.T) {
	values := map[Kind]*rapid.Generator[any]{
		Int:      rapid.Int().AsAny(),
		Float:    rapid.Float64Range(-1e9, 1e9).AsAny(),
		Bool:     rapid.Bool().AsAny(),
		Flag:     rapid.Bool().AsAny(),
		Bytesize: rapid.IntRange(0, 1<<40).AsAny(),
		Duration: rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "ms")) * time.Millisecond
		}).AsAny(),
		Percent: rapid.Custom(func(t *rapid.T) float64 {
			return float64(rapid.IntRange(0, 100).Draw(t, "percent")) / 100
		}).AsAny(),
		Priorities: rapid.MapOfN(rapid.StringMatching(`[a-z/=]{1,8}`), rapid.IntRange(0, 255), 1, 5).AsAny(),
	}
	for kind, g := range values {
		t.Run(kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				k := &Key{Name: "test", Kind: kind}
				want := g.Draw(t, "value")
				text := k.format(want)
				got, err := k.parse(text)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%v is written %q, which reads %v, %v", want, text, got, err)
				}
			})
		})
	}
}

func FuzzParse(f *testing.F) {
	for kind := range kindNames {
		for _, text := range []string{"1d2h", "64KB", "20%", "::1:1883", "a=1,b=2", "0.75", "on"} {
			f.Add(uint8(kind), text)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		k := &Key{Name: "test", Kind: Kind(int(kind) % len(kindNames)), Values: []string{"a", "b"}}
		v, err := k.parse(text)
		if err != nil {
			return
		}
		switch v := v.(type) {
		case time.Duration:
			if v < 0 {
				t.Fatalf("%q is %v", text, v)
			}
		case string:
			if k.Kind == Address || k.Kind == HostPort {
				if again, err := k.parse(v); err != nil || again != v {
					t.Fatalf("%q became %q, which reads %v, %v", text, v, again, err)
				}
			}
		}
	})
}
