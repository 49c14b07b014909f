package topic

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckNameNamesTheBrokenRule(t *testing.T) {
	deep := strings.Repeat("a/", MaxLevels-1) + "a"
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"a plain name", "a/b/c", nil},
		{"one slash is two empty levels", "/", nil},
		{"a dollar name", "$SYS/broker", nil},
		{"spaces and non-ASCII", "Accounts payable/ü/日本", nil},
		{"the longest name", strings.Repeat("x", MaxLength), nil},
		{"the deepest name", deep, nil},
		{"MQTT-4.7.3-1 empty", "", ErrEmpty},
		{"MQTT-4.7.3-2 null", "a\x00b", ErrNull},
		{"MQTT-4.7.3-3 too long", strings.Repeat("x", MaxLength+1), ErrTooLong},
		{"MQTT-1.5.3-1 broken UTF-8", "a/\xff", ErrUTF8},
		{"MQTT-1.5.3-1 surrogate", "a\xed\xa0\x80", ErrUTF8},
		{"MQTT-3.3.2-2 plus", "a/+", ErrNameWildcard},
		{"MQTT-3.3.2-2 hash inside a level", "a#b", ErrNameWildcard},
		{"one level too many", deep + "/", ErrTooManyLevels},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := CheckName(c.in); !errors.Is(err, c.want) {
				t.Errorf("string: got %v, want %v", err, c.want)
			}
			if err := CheckName([]byte(c.in)); !errors.Is(err, c.want) {
				t.Errorf("bytes: got %v, want %v", err, c.want)
			}
		})
	}
}

func TestParseFilterNamesTheBrokenRule(t *testing.T) {
	deep := strings.Repeat("+/", MaxLevels-1) + "#"
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"hash alone", "#", nil},
		{"plus alone", "+", nil},
		{"hash last", "sport/tennis/#", nil},
		{"plus in the middle", "sport/+/player1", nil},
		{"both", "+/tennis/#", nil},
		{"empty levels", "//", nil},
		{"plus after an empty level", "/+", nil},
		{"the deepest filter", deep, nil},
		{"MQTT-4.7.1-2 hash not last", "sport/tennis/#/ranking", ErrMultiLevel},
		{"MQTT-4.7.1-2 hash in a level", "sport/tennis#", ErrMultiLevel},
		{"MQTT-4.7.1-2 two hashes", "##", ErrMultiLevel},
		{"MQTT-4.7.1-3 plus at the end of a level", "sport+", ErrSingleLevel},
		{"MQTT-4.7.1-3 plus at the start of a level", "+sport/a", ErrSingleLevel},
		{"MQTT-4.7.1-3 two pluses", "++", ErrSingleLevel},
		{"MQTT-4.7.1-3 plus and hash", "+#", ErrSingleLevel},
		{"MQTT-4.7.3-1 empty", "", ErrEmpty},
		{"MQTT-4.7.3-2 null", "a/\x00", ErrNull},
		{"MQTT-4.7.3-3 too long", strings.Repeat("x", MaxLength+1), ErrTooLong},
		{"MQTT-1.5.3-1 broken UTF-8", "\xc3\x28", ErrUTF8},
		{"one level too many", "a/" + deep, ErrTooManyLevels},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ParseFilter(c.in)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && string(f) != c.in {
				t.Errorf("got filter %q, want %q", f, c.in)
			}
		})
	}
}

func TestParseSubscriptionTakesPrefixesOnce(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Subscription
		err  error
	}{
		{in: "a/b", want: Subscription{Filter: "a/b"}},
		{in: "$share", want: Subscription{Filter: "$share"}},
		{in: "$shared/g/t", want: Subscription{Filter: "$shared/g/t"}},
		{in: "$queue", want: Subscription{Filter: "$queue"}},
		{in: "$local", want: Subscription{Filter: "$local"}},
		{in: "$SYS/#", want: Subscription{Filter: "$SYS/#"}},
		{in: "$share/g/a/+", want: Subscription{Filter: "a/+", Group: "g"}},
		{in: "$share/g//", want: Subscription{Filter: "/", Group: "g"}},
		{in: "$share/g/#", want: Subscription{Filter: "#", Group: "g"}},
		{in: "$share/g/$share/h/t", want: Subscription{Filter: "$share/h/t", Group: "g"}},
		{in: "$share/g/$local/t", want: Subscription{Filter: "$local/t", Group: "g"}},
		{in: "$queue/t", want: Subscription{Filter: "t", Group: QueueGroup}},
		{in: "$queue/$share/g/t", want: Subscription{Filter: "$share/g/t", Group: QueueGroup}},
		{in: "$local/a/#", want: Subscription{Filter: "a/#", Local: true}},
		{in: "$local/$share/g/t", want: Subscription{Filter: "t", Group: "g", Local: true}},
		{in: "$local/$queue/t", want: Subscription{Filter: "t", Group: QueueGroup, Local: true}},
		{in: "$local/$local/t", want: Subscription{Filter: "$local/t", Local: true}},
		{in: "$share/", err: ErrShareName},
		{in: "$share//t", err: ErrShareName},
		{in: "$share/g+/t", err: ErrShareName},
		{in: "$share/#/t", err: ErrShareName},
		{in: "$share/g\x00/t", err: ErrShareName},
		{in: "$share/g", err: ErrShareFilter},
		{in: "$share/g/", err: ErrShareFilter},
		{in: "$queue/", err: ErrEmpty},
		{in: "$local/", err: ErrEmpty},
		{in: "$local/$share/g", err: ErrShareFilter},
		{in: "$share/g/a#", err: ErrMultiLevel},
		{in: "$share/\xff/t", err: ErrUTF8},
		{in: "", err: ErrEmpty},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := ParseSubscription(c.in)
			if c.err != nil {
				if !errors.Is(err, c.err) || got != (Subscription{}) {
					t.Fatalf("got %+v, %v, want %v", got, err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
			}
			if got.String() != c.in {
				t.Errorf("String() = %q, want %q", got.String(), c.in)
			}
		})
	}
}

func TestMatchFollowsTheSpecification(t *testing.T) {
	for _, c := range []struct {
		f    Filter
		n    Name
		want bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player10", false},
		{"sport/#", "sport", true},
		{"#", "a", true},
		{"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"+/#", "a", true},
		{"+/+/#", "a", false},
		{"a/+/#", "a/b", true},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "/a", false},
		{"a/", "a", false},
		{"a", "a/", false},
		{"#", "$SYS/x", false},
		{"+/monitor", "$SYS/monitor", false},
		{"$SYS/#", "$SYS/x", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"a/#", "a/$b", true},
		{"a/+", "a/$b", true},
	} {
		t.Run(string(c.f)+" on "+string(c.n), func(t *testing.T) {
			if got := Match(c.f, c.n); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestMatchAgreesWithADefinition compares with a recursive definition over
// split levels.
func TestMatchAgreesWithADefinition(t *testing.T) {
	var def func(f, n []string) bool
	def = func(f, n []string) bool {
		switch {
		case len(f) > 0 && f[0] == "#":
			return true
		case len(f) == 0 || len(n) == 0:
			return len(f) == len(n)
		case f[0] == "+" || f[0] == n[0]:
			return def(f[1:], n[1:])
		}
		return false
	}
	level := rapid.SampledFrom([]string{"", "a", "b", "$", "ab"})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SliceOfN(level, 1, 5).Draw(t, "name")
		f := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "$", "+"}), 1, 5).Draw(t, "filter")
		if rapid.Bool().Draw(t, "multi") {
			f = append(f, "#")
		}
		name, filter := strings.Join(n, "/"), strings.Join(f, "/")
		if name == "" || filter == "" {
			return
		}
		want := def(f, n)
		if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
			want = false
		}
		if got := Match(Filter(filter), Name(name)); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", filter, name, got, want)
		}
	})
}

func TestCheckingAndMatchingDoNotAllocate(t *testing.T) {
	b := []byte("device/0001/temperature/ü")
	if n := testing.AllocsPerRun(100, func() {
		_ = CheckName(b)
		_, _ = ParseSubscription("$local/$share/g/device/+/#")
		_ = Match("device/+/#", "device/0001/temperature")
	}); n > 1 { // the copy of a name that is not ASCII
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseSubscription(f *testing.F) {
	for _, s := range []string{"a/b", "#", "+/+/#", "$share/g/t", "$queue/t", "$local/$share/g/+", "$share//t", "a/\x00", "a/+b", "$share/g/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sub, err := ParseSubscription(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("error %v has no reason", err)
			}
			return
		}
		if sub.String() != s && !strings.HasPrefix(s, "$share/$queue/") && !strings.HasPrefix(s, "$local/$share/$queue/") {
			t.Fatalf("%q is written back as %q", s, sub.String())
		}
		if _, err := ParseFilter(string(sub.Filter)); err != nil {
			t.Fatalf("filter %q of %q: %v", sub.Filter, s, err)
		}
		// A filter matches what it spells once its wildcards are filled in.
		n := strings.NewReplacer("+", "x", "#", "y").Replace(string(sub.Filter))
		if CheckName(n) == nil && !Match(sub.Filter, Name(n)) && n[0] != '$' {
			t.Fatalf("%q does not match %q", sub.Filter, n)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Match("device/+/temperature/#", "device/0001/temperature/celsius")
	}
}

func BenchmarkCheckName(b *testing.B) {
	n := []byte("device/0001/temperature/celsius")
	b.ReportAllocs()
	for b.Loop() {
		_ = CheckName(n)
	}
}
