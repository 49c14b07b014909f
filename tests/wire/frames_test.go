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

// recorded reads the frame of a kind; with -update a missing one is written.
func recorded(t *testing.T, kind uint32) []byte {
	t.Helper()
	text, err := os.ReadFile(file(kind))
	if errors.Is(err, fs.ErrNotExist) && *update {
		text = []byte(hex.EncodeToString(written(t, sample(kind))) + "\n")
		if err = os.MkdirAll(filepath.Dir(file(kind)), 0o755); err == nil {
			err = os.WriteFile(file(kind), text, 0o644)
		}
	}
	if err != nil {
		t.Fatalf("%T has no recorded frame (go test ./tests/wire -update): %v", wire.New(kind), err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
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
// version byte, a map with names, and every field there with the type it had.
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
			m["FieldOfTheNextVersion"] = map[string]any{"x": []any{1, "two"}}
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

// fields reads a body by the rules of version 1: a map with named fields.
func fields(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := msgpack.Unmarshal(body[1:], &m); err != nil {
		t.Fatalf("a body that is no map with names: %v", err)
	}
	return m
}

// covered compares what is in a with b, which may have more.
func covered(t *testing.T, path string, a, b any) {
	t.Helper()
	if m, ok := a.(map[string]any); ok {
		other, _ := b.(map[string]any)
		for name := range m {
			covered(t, path+"."+name, m[name], other[name])
		}
		return
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%s was %v and became %v", path, a, b)
	}
}

func sameTypes(t *testing.T, path string, old, now any) {
	t.Helper()
	m, ok := old.(map[string]any)
	if !ok {
		if class(old) != class(now) {
			t.Errorf("%s was a %T and is a %T", path, old, now)
		}
		return
	}
	other, _ := now.(map[string]any)
	for name := range m {
		sameTypes(t, path+"."+name, m[name], other[name])
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
