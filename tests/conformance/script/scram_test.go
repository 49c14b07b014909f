package script

import "testing"

// The exchange of RFC 7677, section 3.
func TestScramAnswersAsTheRFCDoes(t *testing.T) {
	s := scram{user: "user", password: "pencil", bare: "n=user,r=rOprNGfwEbeRWgbNEkqO"}
	got, err := s.final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	if err != nil {
		t.Fatal(err)
	}
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if want := "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="; s.signature != want {
		t.Errorf("%s, want %s", s.signature, want)
	}
	if _, err := s.final("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"); err == nil {
		t.Error("a challenge with another nonce is answered")
	}
}
