package yara

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// condition writes a random condition with strings $a, $b and numbers of the
// file, some of them undefined.
func condition(rng *rand.Rand, depth int) string {
	if depth == 0 || rng.IntN(4) == 0 {
		leaf := []string{
			"$a", "$b", "#a > 1", "any of them", "all of them", "$a at 0", "@a[1] > 100",
			"uint16(0) == 0x5A4D", "uint16be(0) == 0x7F45", "uint32(uint32(4)) == 0x4550", "uint8(filesize-1) == 0x61",
			"filesize < 64", "filesize > 3MB", "filesize \\ (uint8(0)-77) > 0", "uint16(99999999) == 1", "defined uint16(20)",
			"uint16(99999999)", "true", "false", "-1 == ~0",
		}
		return leaf[rng.IntN(len(leaf))]
	}
	x, y := condition(rng, depth-1), condition(rng, depth-1)
	switch rng.IntN(6) {
	case 0:
		return "not (" + x + ")"
	case 1, 2:
		return "(" + x + " or " + y + ")"
	default:
		return "(" + x + " and " + y + ")"
	}
}

// TestGuards scans with and without the questions asked first: the rules found
// must be the same, with the same strings.
func TestGuards(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var text strings.Builder
	for i := range 400 {
		kind := []string{"", "", "", "private ", "global private "}[rng.IntN(5)]
		cond := condition(rng, 4)
		if strings.HasPrefix(kind, "global") {
			cond = "filesize > 0 or (" + cond + ")"
		}
		fmt.Fprintf(&text, "%srule r%d { strings: $a = \"aword%d\" $b = /b[a-c]{3}x/ condition: (%s) and (#a >= 0 or #b >= 0) }\n", kind, i, i%7, cond)
	}
	guarded, problems := Compile([]Source{{Name: "t.yar", Text: []byte(text.String())}}, Options{})
	if Failed(problems) {
		t.Fatal(problems)
	}
	open := *guarded
	open.guards.rules = make([][][]int32, len(guarded.guards.rules))
	asked := 0
	for _, rows := range guarded.guards.rules {
		if rows != nil {
			asked++
		}
	}
	if asked < 50 {
		t.Fatalf("only %d rules ask anything", asked)
	}
	a, b := guarded.NewScanner(), open.NewScanner()
	for _, head := range []string{"", "MZ\x00\x00\x08\x00\x00\x00PE\x00\x00", "\x7fELF", "aword1", "M", "N", "MZ\x00\x00\xff\xff\xff\xff"} {
		for _, size := range []int{0, 20, 200, 3 << 20, 5 << 20} {
			data := append([]byte(head), bytes.Repeat([]byte(" aword1 baccx aword3 aword5"), 3)...)
			if size > len(data) {
				data = append(data, make([]byte, size-len(data))...)
				copy(data[len(data)-30:], "aword2 baaax aword6")
			}
			x, err := a.Scan(t.Context(), bytes.NewReader(data), int64(len(data)), ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			y, err := b.Scan(t.Context(), bytes.NewReader(data), int64(len(data)), ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(y, x); d != "" {
				t.Errorf("head %q, %d bytes (-open +guarded):\n%s", head, len(data), d)
			}
		}
	}
}

// TestGuardsSkip tells that strings of rules for other files are not kept.
func TestGuardsSkip(t *testing.T) {
	rules, problems := Compile([]Source{{Name: "t.yar", Text: []byte(`
rule pe { strings: $a = "marker one" condition: uint16(0) == 0x5A4D and filesize < 1KB and $a }
rule all_kinds { strings: $b = "marker two" condition: (filesize < 1KB or uint16(0) == 0x5A4D) and $b }`)}}, Options{})
	if Failed(problems) {
		t.Fatal(problems)
	}
	s := rules.NewScanner()
	for _, c := range []struct {
		data string
		want []uint8
	}{
		{"ELF marker one marker two", []uint8{no, yes}},
		{"MZ  marker one marker two", []uint8{yes, yes}},
		{"ELF nothing", []uint8{unasked, unasked}},
		{"MZ  marker one marker two" + strings.Repeat(" ", 1024), []uint8{no, yes}},
	} {
		t.Run(c.data[:10], func(t *testing.T) {
			if _, err := s.Scan(t.Context(), strings.NewReader(c.data), int64(len(c.data)), ScanOptions{}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, s.answers.patterns); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestGuardsBounded gives conditions whose alternatives multiply.
func TestGuardsBounded(t *testing.T) {
	var sides []string
	for i := range 40 {
		sides = append(sides, fmt.Sprintf("(($a and uint8(%d) == 1) or ($a and uint8(%d) == 2))", i, i))
	}
	src := `rule r { strings: $a = "xyz1" condition: ` + strings.Join(sides, " and ") + " }"
	rules, problems := Compile([]Source{{Name: "t.yar", Text: []byte(src)}}, Options{})
	if Failed(problems) {
		t.Fatal(problems)
	}
	if n := len(rules.guards.rules[0]); n == 0 || n > maxGuardWays {
		t.Errorf("%d alternatives", n)
	}
}
