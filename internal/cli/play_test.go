package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const castHead = `{"version":2,"width":80,"height":24}` + "\n"

func castOf(texts ...string) string {
	var b strings.Builder
	b.WriteString(castHead)
	for i, t := range texts {
		fmt.Fprintf(&b, "[%d.5, \"o\", %q]\n", i, t)
	}
	return b.String()
}

func TestPlay(t *testing.T) {
	zeros := strings.Repeat("\x00", 40)
	whole := castOf("one ", "two ", "three")
	for _, tt := range []struct {
		name, cast, want string
		lost             int
	}{
		{"whole", whole, "one two three", 0},
		{"cut between lines", castOf("one ", "two "), "one two ", 0},
		{"cut within a line", whole[:len(whole)-9], "one two ", 1},
		{"cut after the header", castHead, "", 0},
		{"cut within the header", castHead[:10], "", 0},
		{"empty", "", "", 0},
		{"a part that never came", castHead + zeros + `[2.5, "o", "three"]` + "\n", "three", 1},
		{"the first part never came", zeros + `[2.5, "o", "three"]` + "\n", "three", 1},
		{"zeros at the end", whole + zeros, "one two three", 1},
		{"other codes", castHead + `[1, "i", "x"]` + "\n" + `[1, "r", "80x24"]` + "\n" + `[2, "o", "y"]` + "\n", "y", 0},
		{"time runs back", castHead + `[9, "o", "x"]` + "\n" + `[1, "o", "y"]` + "\n", "xy", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			lost, err := tape{[]byte(tt.cast), 1e6, time.Second}.play(t.Context(), &b)
			if got := strings.TrimSuffix(b.String(), "\x1b[0m\n"); err != nil || got != tt.want || lost != tt.lost {
				t.Errorf("%q, %d lost, %v; want %q, %d", got, lost, err, tt.want, tt.lost)
			}
		})
	}
}

// FuzzTame looks that what is left out stays out wherever the output is cut in
// two, and that nothing acts on the terminal.
func FuzzTame(f *testing.F) {
	for _, s := range []string{
		"plain ö 日本", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07after", "\x1b]52;c;AAAA\x1b\\after", "\x1bPq\x1b\\x", "\x1b[?1049hx", "\x1b[6n", "\x1b[>c\x1bc",
		"\u009b31mC1 \u0085", "\u202eturned\u2066", "\x1b]0;" + strings.Repeat("long", 200) + "\x1b\\after", "\x1b[" + strings.Repeat("1;", 300) + "mx", "\x1b", "\x1b[3", "a\x7fb\x07",
	} {
		for cut := range len(s) + 1 {
			if cut < 12 || cut > len(s)-3 {
				f.Add(s, cut)
			}
		}
	}
	f.Fuzz(func(t *testing.T, s string, cut int) {
		s = strings.ToValidUTF8(s, "?")
		var one tamer
		whole := one.next(s)
		for i := 0; i < len(whole); i++ {
			if c := whole[i]; c < 0x20 && !strings.ContainsRune("\n\r\t\b\x1b", rune(c)) || c == 0x7f {
				t.Fatalf("%q is in %q", c, whole)
			}
			if whole[i] == 0x1b {
				if n, good := escape(whole[i:]); !good || n == 0 {
					t.Fatalf("%q is in %q", whole[i:], whole)
				}
			}
		}
		if strings.ContainsAny(whole, "\u0085\u009b\u202a\u202e\u2066\u2069") {
			t.Fatalf("%q", whole)
		}
		if cut < 0 || cut > len(s) || len(s) > maxHeldEscape {
			return
		}
		for cut < len(s) && s[cut]&0xc0 == 0x80 { // a recording never cuts a character
			cut++
		}
		var two tamer
		if got := two.next(s[:cut]) + two.next(s[cut:]); got != whole {
			t.Fatalf("%q cut at %d: %q, whole: %q", s, cut, got, whole)
		}
	})
}
