// Package wire holds what nodes of two versions must understand of each other: a
// recorded frame of every kind of message, as the previous version wrote it.
package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	_ "emqttd/actors/node" // everything that registers a kind
	_ "emqttd/cluster/link"
	"emqttd/cluster/wire"
)

var update = flag.Bool("update", false, "record frames of kinds that have none")

func file(kind uint32) string {
	return filepath.Join("testdata", fmt.Sprintf("v%d", wire.Oldest), fmt.Sprintf("%04x.hex", kind))
}

// recorded reads the frame of a kind. One that is newer than the previous version has
// none, and must only follow the rules: then it is what we write. With -update it is
// recorded.
func recorded(t *testing.T, kind uint32) []byte {
	t.Helper()
	text, err := os.ReadFile(file(kind))
	if errors.Is(err, fs.ErrNotExist) {
		b := written(t, sample(kind))
		if !*update {
			return b
		}
		text = []byte(hex.EncodeToString(b) + "\n")
		if err = os.MkdirAll(filepath.Dir(file(kind)), 0o755); err == nil {
			err = os.WriteFile(file(kind), text, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryKindThatWasRecordedIsStillKnown(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.hex"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recorded frames, %v", len(files), err)
	}
	for _, f := range files {
		var kind uint32
		if _, err := fmt.Sscanf(filepath.Base(f), "%x.hex", &kind); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(wire.Kinds(), kind) {
			t.Errorf("%s is of a kind that is not known any more", f)
		}
	}
}

func written(t *testing.T, m wire.Message) []byte {
	t.Helper()
	frame, err := m.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	_, body := wire.Open(frame)
	return body
}

// sample is a message in which every field has a value of its own.
func sample(kind uint32) wire.Message {
	m := wire.New(kind)
	n := 0
	fill(reflect.ValueOf(m).Elem(), &n, 0)
	return m
}

func fill(v reflect.Value, n *int, depth int) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n % 100))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 100))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Slice:
		if depth > 4 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n, depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n, depth+1)
		fill(value, n, depth+1)
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		if depth > 4 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n, depth+1)
			}
		}
	}
}

// TestWhatTheOldVersionWroteIsRead holds for every field that is in the recorded frame.
func TestWhatTheOldVersionWroteIsRead(t *testing.T) {
	for _, kind := range wire.Kinds() {
		t.Run(fmt.Sprintf("%T", wire.New(kind)), func(t *testing.T) {
			old := recorded(t, kind)
			m := wire.Decode(kind, old)
			if u, ok := m.(*wire.Unreadable); ok {
				t.Fatalf("it is not read: %v", u.Err)
			}
			covered(t, "", fields(t, old), fields(t, written(t, m)))
		})
	}
}

// TestWhatWeWriteIsReadByTheOldVersion holds a message to the rules of that: its
// version byte, a map with names or an array, and every field there with the type it had.
func TestWhatWeWriteIsReadByTheOldVersion(t *testing.T) {
	for _, kind := range wire.Kinds() {
		t.Run(fmt.Sprintf("%T", wire.New(kind)), func(t *testing.T) {
			b := written(t, sample(kind))
			if b[0] != wire.Oldest {
				t.Fatalf("version %d, want %d", b[0], wire.Oldest)
			}
			sameTypes(t, "", fields(t, recorded(t, kind)), fields(t, b))
		})
	}
}

// TestUnknownFieldsAreSkipped is what lets the next version add some.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	for _, kind := range wire.Kinds() {
		t.Run(fmt.Sprintf("%T", wire.New(kind)), func(t *testing.T) {
			m := fields(t, recorded(t, kind))
			more := map[string]any{"x": []any{1, "two"}}
			switch v := m.(type) {
			case map[string]any:
				v["FieldOfTheNextVersion"] = more
			case []any:
				m = append(v, more)
			}
			b, err := msgpack.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if u, ok := wire.Decode(kind, append([]byte{wire.Version}, b...)).(*wire.Unreadable); ok {
				t.Fatalf("it is not read: %v", u.Err)
			}
		})
	}
}

// fields reads a body by the rules of version 1: a map with named fields, or an array
// at whose end new ones come.
func fields(t *testing.T, body []byte) any {
	t.Helper()
	var v any
	if err := msgpack.Unmarshal(body[1:], &v); err != nil {
		t.Fatal(err)
	}
	switch v.(type) {
	case map[string]any, []any:
	default:
		t.Fatalf("a body that is a %T", v)
	}
	return v
}

// each calls f for every field of old with its counterpart, and reports false if it has
// none.
func each(old, now any, f func(name string, old, now any)) bool {
	switch old := old.(type) {
	case map[string]any:
		other, _ := now.(map[string]any)
		for name := range old {
			f("."+name, old[name], other[name])
		}
	case []any:
		other, _ := now.([]any)
		for i := range old {
			if i < len(other) {
				f(fmt.Sprintf("[%d]", i), old[i], other[i])
			} else {
				f(fmt.Sprintf("[%d]", i), old[i], nil)
			}
		}
	default:
		return false
	}
	return true
}

// covered compares what is in a with b, which may have more.
func covered(t *testing.T, path string, a, b any) {
	t.Helper()
	if !each(a, b, func(name string, a, b any) { covered(t, path+name, a, b) }) && fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%s was %v and became %v", path, a, b)
	}
}

func sameTypes(t *testing.T, path string, old, now any) {
	t.Helper()
	if !each(old, now, func(name string, old, now any) { sameTypes(t, path+name, old, now) }) && class(old) != class(now) {
		t.Errorf("%s was a %T and is a %T", path, old, now)
	}
}

// class is what a reader in Go tells apart: the width of a number is none of it.
func class(v any) string {
	switch v.(type) {
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64, int, uint:
		return "number"
	default:
		return fmt.Sprintf("%T", v)
	}
}
