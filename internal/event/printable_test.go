package event

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b]0;x\x07", "C1 \u009b31m \u0085", "turned \u202e round", "\u00ad soft", "\U000e0001 tag", "ö 日本 \U0001f600", "cut \xff\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\ufffd")
		line, err := json.Marshal(map[string]string{"v": s})
		if err != nil {
			t.Skip(err)
		}
		out := Printable(line)
		for _, r := range string(out) {
			if !unicode.IsPrint(r) || r == '\u00ad' {
				t.Fatalf("%q is in %q", r, out)
			}
		}
		var back map[string]string
		if err := json.Unmarshal(out, &back); err != nil || back["v"] != s {
			t.Fatalf("%q came back as %q: %v", s, back["v"], err)
		}
	})
}
