package netcmd

import (
	"strings"
	"testing"
)

func TestWorldKnowsNamesThatCanBe(t *testing.T) {
	for name, want := range map[string]bool{
		"example.com": true, "www.example.org": true, "example.com.": true, "EXAMPLE.net": true, "xn--bcher-kva.de": true, "a_b.de": true, "192.0.2.1": true, "::1": true,
		"testing.de": true, "invalid.com": true, "home.arpa.net": true,
		"": false, ".": false, "com": false, "printer": false, "a.invalid": false, "A.Test": false, "c2.example": false, "x.c2.example.": false, "printer.local": false,
		"a.localhost": false, "a.onion": false, "a.home.arpa": false, "1.2.3.4.5": false, "a..com": false, ".com": false, "a b.com": false, "a.com..": false,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 130) + "com": false,
	} {
		if a, ok := (World{}).Resolve(name); ok != want || ok != (len(a) == 1) {
			t.Errorf("%q: %v, %v", name, a, ok)
		}
	}
	upper, _ := World{}.Resolve("WWW.Example.Com.")
	if lower, _ := (World{}).Resolve("www.example.com"); upper[0] != lower[0] {
		t.Errorf("one name has two addresses: %s, %s", upper[0], lower[0])
	}
}

func TestNetmask(t *testing.T) {
	for bits, want := range map[int]string{8: "255.0.0.0", 22: "255.255.252.0", 24: "255.255.255.0", 32: "255.255.255.255", 0: "0.0.0.0"} {
		if got := netmask(bits); got != want {
			t.Errorf("/%d: %s", bits, got)
		}
	}
}
