package conf

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfFlagIsTakenFromAnywhereBeforeTheDashes(t *testing.T) {
	for in, want := range map[string]string{
		"start":                          " start",
		"-c a.conf start":                "a.conf start",
		"start -c a.conf":                "a.conf start",
		"clients -ca.conf show x":        "a.conf clients show x",
		"-c=a.conf actors tree --shape":  "a.conf actors tree --shape",
		"--conf a.conf actors":           "a.conf actors",
		"actors --conf=a.conf":           "a.conf actors",
		"clients show -- -c":             " clients show -- -c",
		"-c a.conf clients show -- -c b": "a.conf clients show -- -c b",
	} {
		file, rest, err := Args(strings.Fields(in))
		fields := strings.SplitN(want, " ", 2)
		if err != nil || file != fields[0] || !slices.Equal(rest, strings.Fields(fields[1])) {
			t.Errorf("%s: %q %q %v", in, file, rest, err)
		}
	}
	for _, in := range []string{"start -c", "--conf= start", "-c= start"} {
		if _, _, err := Args(strings.Fields(in)); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

func TestFileComesFromTheFlagThenTheHomeThenTheProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("EMQ_HOME", dir)
	if got, err := File("x.conf"); err != nil || !filepath.IsAbs(got) || filepath.Base(got) != "x.conf" {
		t.Errorf("flag: %q %v", got, err)
	}
	if got, err := File(""); err != nil || got != filepath.Join(dir, "etc", "emq.conf") {
		t.Errorf("home: %q %v", got, err)
	}
	t.Setenv("EMQ_HOME", "")
	if got, err := File(""); err != nil || !strings.HasSuffix(got, filepath.Join("etc", "emq.conf")) || strings.HasPrefix(got, dir) {
		t.Errorf("program: %q %v", got, err)
	}
}
