package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestATableIsAsWideAsItsFirstPage(t *testing.T) {
	var out strings.Builder
	tb := table{out: &out}
	for _, page := range []string{
		"{\"id\":\"c\",\"n\":1}\n{\"id\":\"long one\",\"n\":22}\n",
		"{\"id\":\"longer than that\",\"n\":3}\n",
		"{\"id\":\"x\",\"other\":{\"a\":[1]},\"z\":null}\n",
	} {
		if _, err := tb.Write([]byte(page)); err != nil {
			t.Fatal(err)
		}
	}
	want := "ID        N\nc         1\nlong one  22\nlonger than that  3\nID  OTHER      Z\nx   {\"a\":[1]}  \n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAnObjectOfManyFieldsIsPrintedFieldByField(t *testing.T) {
	var row strings.Builder
	for i := range maxColumns + 1 {
		fmt.Fprintf(&row, ",\"f%d\":%d", i, i)
	}
	var out strings.Builder
	if _, err := (&table{out: &out}).Write([]byte("{" + row.String()[1:] + "}\n")); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != maxColumns+1 || !strings.HasPrefix(out.String(), "f0    ") {
		t.Error(out.String())
	}
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	var out strings.Builder
	if _, err := (&table{out: &out}).Write([]byte("{\"id\":\"a\\u001b[2J\\u0007\",\"q\":\"say \\\"hi\\\" é\"}\n")); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") || !strings.Contains(out.String(), `a\x1b[2J\a`) || !strings.Contains(out.String(), `say "hi" é`) {
		t.Errorf("%q", out.String())
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	var out strings.Builder
	if _, err := (&table{out: &out}).Write([]byte("oops\n")); err == nil {
		t.Error("nobody noticed")
	}
}
