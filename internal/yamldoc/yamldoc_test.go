package yamldoc

import (
	"bytes"
	"strings"
	"testing"
)

type doc struct {
	Name string `yaml:"name"`
	N    int    `yaml:"n"`
	List []struct {
		A string `yaml:"a"`
	} `yaml:"list"`
}

func TestDecodeNamesEveryFaultWithItsLine(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unknown key", "name: a\nnme: b\n", `f.yaml:2: unknown key "nme" (remove it, or look for a typing error)`},
		{"repeated key", "name: a\nn: 1\nname: b\n", `f.yaml:3: key "name" stands twice, first in line 1 (keep one of them)`},
		{
			"a repeated key hides nothing", "name: a\nnme: x\n\"name\": b\nlist: [{a: x, b: y, a: z}]\nn: y\n---\n", "f.yaml:2: unknown key \"nme\" (remove it, or look for a typing error)\n" +
				"f.yaml:3: key \"name\" stands twice, first in line 1 (keep one of them)\nf.yaml:4: key \"a\" stands twice, first in line 4 (keep one of them)\n" +
				"f.yaml:4: unknown key \"b\" (remove it, or look for a typing error)\nf.yaml:5: expected a whole number, found text `y`\nf.yaml:6: a second document",
		},
		{"repeated key with an escape", "\"n\\x61me\": a\n\"n\\x61me\": b\nx: 1\n", `f.yaml:2: key "name" stands twice, first in line 1 (keep one of them)`},
		{"second document", "name: a\n---\nname: b\n", "f.yaml:2: a second document (keep one document in one file)"},
		{"wrong type", "n: abc\n", "f.yaml:1: expected a whole number, found text `abc`"},
		{"two faults", "nme: b\nlist:\n  - b: 1\n", "f.yaml:1: unknown key \"nme\" (remove it, or look for a typing error)\nf.yaml:3: unknown key \"b\" (remove it, or look for a typing error)"},
		{"not YAML", "a: [\n", "f.yaml:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d doc
			_, err := Decode("f.yaml", []byte(tt.in), &d)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	var v doc
	d, err := Decode("f.yaml", []byte("name: a\nlist:\n  - a: x\n  - a: y\n"), &v)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Line("list", 1, "a"); got != 4 {
		t.Errorf("got line %d", got)
	}
	if got := d.Line("list", 7, "a"); got != 3 {
		t.Errorf("missing part: got line %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("name: a\nname: b\n? name\n: {a: 1, a: 2}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v doc
		_, err := Decode("f", data, &v)
		if err != nil && err.Error() == "" {
			t.Fatal("a fault without a text")
		}
		if err != nil && strings.Contains(err.Error(), repeatedKey) && !bytes.Contains(data, []byte(repeatedKey)) {
			t.Fatalf("a name of ours is told: %v", err)
		}
	})
}
