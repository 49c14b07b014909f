package main

import (
	"strings"
	"testing"
)

func TestVerdictCountsTestsAndFailsForWhatMustNotBe(t *testing.T) {
	const pass, fail, skip = `{"Action":"pass","Package":"p","Test":"A"}`,
		`{"Action":"fail","Package":"p","Test":"B"}`, `{"Action":"skip","Package":"p","Test":"C"}`
	const noTests, broken = `{"Action":"skip","Package":"q"}`, `{"Action":"fail","Package":"r"}`
	for name, tc := range map[string]struct {
		lines []string
		ci    bool
		want  string
		code  int
	}{
		"all pass":               {[]string{pass, noTests, `{"Action":"pass","Package":"p"}`}, true, "1 passed, 0 failed\n", 0},
		"one fails":              {[]string{pass, fail}, false, "failed: p B\n1 passed, 1 failed\n", 1},
		"does not compile":       {[]string{pass, broken}, false, "failed: r \n1 passed, 1 failed\n", 1},
		"skipped at home":        {[]string{pass, skip}, false, "skipped: p C\n1 passed, 0 failed, 1 skipped\n", 0},
		"skipped under CI=true":  {[]string{pass, skip}, true, "skipped: p C\n1 passed, 1 failed (a skipped test is a failure under CI=true)\n", 1},
		"nothing was run at all": {nil, false, "0 passed, 0 failed\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			if err := v.add(strings.NewReader(strings.Join(tc.lines, "\n"))); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if code := v.say(&out, tc.ci); code != tc.code || out.String() != tc.want {
				t.Errorf("%d %q, want %d %q", code, out.String(), tc.code, tc.want)
			}
		})
	}
}

func TestOutputThatWasCutOffIsAnError(t *testing.T) {
	var v verdict
	if err := v.add(strings.NewReader(`{"Action":"pa`)); err == nil {
		t.Error("no error")
	}
}
