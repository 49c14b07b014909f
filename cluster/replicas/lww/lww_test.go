package lww

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestOfTwoVersionsExactlyOneWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Custom(func(t *rapid.T) Version {
			return Version{rapid.Uint64Range(0, 3).Draw(t, "stamp"), rapid.Uint32Range(0, 3).Draw(t, "origin")}
		})
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		if a == b && (a.After(b) || b.After(a)) || a != b && a.After(b) == b.After(a) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestADigestShowsTheBucketOfEachEntryThatDiffers(t *testing.T) {
	var a, b, part Digest
	for i := range 100_000 {
		key := fmt.Sprint("device/", i)
		a.Toggle(key, Version{uint64(i), 1})
		d := &b
		if i%2 == 0 {
			d = &part
		}
		d.Toggle(key, Version{uint64(i), 1})
	}
	b.Add(&part)
	if a != b {
		t.Fatal("the digest of the parts is another one")
	}
	b.Toggle("device/77", Version{77, 1})
	b.Toggle("device/77", Version{77, 2})
	bucket, _ := Place("device/77", Version{})
	s := Differing(&a, &b)
	for i := range Buckets {
		if s.Has(i) != (i == bucket) {
			t.Errorf("bucket %d: %v", i, s.Has(i))
		}
	}
	full := a.Used()
	if both := s.And(full); both != s || both.Empty() {
		t.Errorf("%v is not in %v", s, full)
	}
	for i := range Buckets {
		if !full.Has(i) {
			t.Errorf("100,000 keys leave bucket %d empty", i)
		}
	}
}

func TestMarksAreFound(t *testing.T) {
	var m Marks
	for i := range 1000 {
		_, mark := Place("k", Version{uint64(i), 5})
		m = append(m, mark)
	}
	m.Sort()
	for i := range 2000 {
		if _, mark := Place("k", Version{uint64(i), 5}); m.Has(mark) != (i < 1000) {
			t.Fatalf("%d: %v", i, i >= 1000)
		}
	}
}

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Entry {
			e := Entry{Key: rapid.String().Draw(t, "key"), Version: Version{rapid.Uint64().Draw(t, "stamp"), rapid.Uint32().Draw(t, "origin")}}
			if rapid.Bool().Draw(t, "value") {
				e.Value = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
			}
			return e
		})).Draw(t, "entries")
		var b []byte
		for _, e := range entries {
			var value func([]byte) []byte
			if e.Value != nil {
				value = func(b []byte) []byte { return append(b, e.Value...) }
			}
			b = AppendEntry(b, e.Key, e.Version, value)
		}
		got := []Entry{}
		if err := ReadEntries(b, func(e Entry) { got = append(got, e) }); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, append([]Entry{}, entries...)) {
			t.Fatalf("got %v, want %v", got, entries)
		}
	})
}

func TestFieldsOfALaterVersionArePassedOver(t *testing.T) {
	b := AppendEntry(nil, "k", Version{1, 2}, nil)
	b[0]++ // one field more
	b = append(b, 0xA1, 'x')
	b = AppendEntry(b, "l", Version{3, 4}, nil)
	var keys string
	if err := ReadEntries(b, func(e Entry) { keys += e.Key }); err != nil || keys != "kl" {
		t.Errorf("%q, %v", keys, err)
	}
}

func FuzzReadEntries(f *testing.F) {
	f.Add(AppendEntry(nil, "k", Version{1, 2}, func(b []byte) []byte { return append(b, 1, 2) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = ReadEntries(b, func(Entry) {}) // that it does not panic
	})
}

func BenchmarkToggle(b *testing.B) {
	var d Digest
	for b.Loop() {
		d.Toggle("plant/7/line/12/device/123456/state", Version{1, 2})
	}
}
