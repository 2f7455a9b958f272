package yamldoc

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// show writes what a reader of nodes can see.
func show(n *Node, b *strings.Builder, depth int) {
	fmt.Fprintf(b, "%s%d %d %s %q\n", strings.Repeat(" ", depth), n.Kind, n.Line, n.ShortTag(), n.Value)
	for _, c := range n.Content {
		show(c, b, depth+1)
	}
}

// compareQuick fails when the quick parser reads a text in another way than the
// full one. It tells whether the quick one read it at all.
func compareQuick(t *testing.T, data []byte) bool {
	t.Helper()
	q := parseQuick(data)
	if q == nil {
		return false
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second Node
	if err := dec.Decode(&doc); err != nil {
		t.Errorf("the full parser says %v of\n%s", err, data)
		return true
	}
	if dec.Decode(&second) == nil {
		t.Errorf("a second document in\n%s", data)
	}
	var got, want strings.Builder
	show(q, &got, 0)
	show(doc.Content[0], &want, 0)
	if got.String() != want.String() {
		t.Errorf("of\n%s\nquick:\n%s\nfull:\n%s", data, got.String(), want.String())
	}
	return true
}

var quickTexts = []string{
	"a: 1\nb: two words # comment\nc: 'it''s'\nd: \"x y\"\n",
	"a:\n  - x\n  - 'y: z'\nb:\n- 1\n- 2.5\nc: |\n  line one\n\n    line # two\n\nd: true\n",
	"a:\n    b:\n        - c: 1\n          d|contains|all:\n              - x\n              - '\\cmd.exe'\n        - e: null\n    '|all':\n        - k\n",
	"a: |-\n  x\n  y\nb: ~\n# end\n",
	"a: x\n  y\n", "a: [1]\n", "a: &b c\n", "a: 'x\n  y'\n", "a:\nb: 1\n", "---\na: 1\n", "a: 1\na: 2\n", "a: b: c\n", "- a\n",
	"a: x#y\n", "a: 'x'#y\n", "a: -1\n", "a: - b\n", "a:\n  - b:\n      - c\n    d: e\n", "a: |\n  x", "a: 2019-10-23\nb: 0x10\nc: 1_000\n", "a b: c\n", "a:b: c\n", "é: 1\nf: é\n",
	"a:\n- b: 1\n  c: 2\n- d\n", "a:\n - 'x': 1\n", "a: ''\n", "a: 'x'  # y\n", "a:\n  b: 1\n c: 2\n", "a: \"x\\n\"\n", "a: >\n  x\n",
}

func TestQuick(t *testing.T) {
	n := 0
	for _, s := range quickTexts {
		if compareQuick(t, []byte(s)) {
			n++
		}
	}
	if n < 10 {
		t.Errorf("only %d texts were read quickly", n)
	}
}

// TestQuickCorpus holds the parsers against each other on all SigmaHQ rules.
func TestQuickCorpus(t *testing.T) {
	root := filepath.Join(sharedtest.Dir(t), "sigma", "rules")
	all, read := 0, 0
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != ".yml" {
			return err
		}
		data, err := os.ReadFile(p)
		all++
		if compareQuick(t, data) {
			read++
		}
		return err
	})
	if err != nil || read*10 < all*9 {
		t.Errorf("%d of %d files were read quickly, %v", read, all, err)
	}
	t.Logf("%d of %d", read, all)
}

func FuzzQuick(f *testing.F) {
	for _, s := range quickTexts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareQuick(t, data) })
}
