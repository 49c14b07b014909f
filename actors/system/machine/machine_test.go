package machine

import (
	"os"
	"runtime"
	"testing"
)

func TestMemoryIsTheSumOfItsParts(t *testing.T) {
	m := ReadMemory()
	if m.Objects == 0 || m.Stacks == 0 || m.Total == 0 {
		t.Errorf("nothing is used: %+v", m)
	}
	if sum := m.Objects + m.Stacks + m.Free + m.Released + m.Other; sum != m.Total {
		t.Errorf("the parts are %d, the whole is %d", sum, m.Total)
	}
}

func TestAnOpenFileCounts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	before := OpenFiles()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after := OpenFiles(); after != before+1 {
		t.Errorf("%d, then %d", before, after)
	}
	if limit := MaxFiles(); limit < uint64(before) {
		t.Errorf("%d are open of %d", before, limit)
	}
	if load, ok := Load(); !ok || load[0] < 0 {
		t.Errorf("load %v %t", load, ok)
	}
}
