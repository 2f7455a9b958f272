package yamldoc

import (
	"errors"
	"strings"
	"testing"
)

func TestDocuments(t *testing.T) {
	docs, err := Documents("f", []byte("a: 1\n---\nb: &x [1, 2]\nc: *x\n---\n---\n"))
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	if c := docs[1].Content[3]; c.Kind != List || len(c.Content) != 2 {
		t.Errorf("alias: %+v", c)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"syntax", "a: 1\nb: [", "f:2: "},
		{"not UTF-8", "a: 1\nb: caf\xe9\n", "f:2: the byte 0xe9 is not UTF-8 (save"},
		{"control", "a: 1\n# \x00\n", "f:2: the control character 0x00"},
		{"bomb", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + bomb(8), "aliases counted"},
		{"self", "a: &a [*a]", "nested deeper"},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper"},
		{"size", strings.Repeat("#", MaxSize+1), "limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Documents("f", []byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func bomb(levels int) string {
	var b strings.Builder
	for i := range levels {
		name, last := string(rune('b'+i)), "*"+string(rune('a'+i))
		b.WriteString(name + ": &" + name + " [" + strings.Repeat(last+",", 9) + last + "]\n")
	}
	return b.String()
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte("a: &x [1]\nb: *x\n---\n- c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Documents("f", data)
		if err != nil {
			var fs Faults
			if !errors.As(err, &fs) || len(fs) == 0 || fs[0].File != "f" {
				t.Errorf("error without a place: %v", err)
			}
		}
		for _, d := range docs {
			walk(t, d)
		}
	})
}

func walk(t *testing.T, n *Node) {
	t.Helper()
	if n.Kind != Map && n.Kind != List && n.Kind != Scalar {
		t.Fatalf("kind %d", n.Kind)
	}
	for _, c := range n.Content {
		walk(t, c)
	}
}
