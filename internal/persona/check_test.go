package persona

import (
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/personas"
)

func TestCheckTemplate(t *testing.T) {
	for _, name := range Templates() {
		data, err := personas.FS.ReadFile(name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckTemplate(name, data); err != nil {
			t.Errorf("the shipped one: %v", err)
		}
	}
	debian, err := personas.FS.ReadFile("debian-server.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                     "family",
		"family: debian":       "x:1: cpus: nothing to choose from",
		"family: [1]":          "x:1",
		"nosuch: 1":            "x:1",
		"family: busybox":      "x:1: router: nothing to choose from",
		"a: 1\n---\nfamily: 2": "x:",
		"family: busybox\nhostnames: [a]\ndomains: [b]\nouis: [\"00:11:22\"]\nrouter:\n  models: [m]\n  boards: [{soc: s}]": "x:6: router.firmwares: nothing to choose from",
		strings.Replace(string(debian), "family: debian", "family: windows", 1):                                             `family: "windows"`,
	} {
		if err := CheckTemplate("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
}
