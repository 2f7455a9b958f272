package unpack

import (
	"bytes"
	"encoding/ascii85"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
)

// lzwOf packs as PDF has it: codes grow one early, the table is cleared when full.
func lzwOf(s string) string {
	var out []byte
	var bits uint32
	n, width := 0, 9
	put := func(c int) {
		bits = bits<<width | uint32(c)
		for n += width; n >= 8; n -= 8 {
			out = append(out, byte(bits>>(n-8)))
		}
	}
	var table map[string]int
	restart := func() {
		put(lzwClear)
		table, width = map[string]int{}, 9
		for i := range 256 {
			table[string([]byte{byte(i)})] = i
		}
	}
	restart()
	next := lzwEnd + 1
	var w string
	for i := range len(s) {
		c := s[i : i+1]
		if _, has := table[w+c]; has {
			w += c
			continue
		}
		put(table[w])
		table[w+c] = next
		next++
		if next+1 > 1<<width && width < 12 {
			width++
		}
		if next == 4094 {
			put(table[c])
			restart()
			next, c = lzwEnd+1, ""
		}
		w = c
	}
	if w != "" {
		put(table[w])
		next++
		if next+1 > 1<<width && width < 12 {
			width++
		}
	}
	put(lzwEnd)
	put(0)
	return string(out)
}

func runsOf(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), 100)
		b.WriteByte(byte(n - 1))
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String() + "\xfdx\x80"
}

func a85Of(s string) string {
	var b bytes.Buffer
	w := ascii85.NewEncoder(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String() + "~>"
}

func TestPDFFilters(t *testing.T) {
	long := strings.Repeat(marker+" and more ", 3000)
	for _, c := range []struct{ name, filter, body, want string }{
		{"one", "/Filter/FlateDecode", zlibOf(marker), marker},
		{"three", "/Filter [/FlateDecode /Fl /FlateDecode]", zlibOf(zlibOf(zlibOf(marker))), marker},
		{"name with escapes", "/Filter /Fl#61te#44ecode", zlibOf(marker), marker},
		{"hexadecimal, then Flate", "/Filter[/ASCIIHexDecode/FlateDecode]", hex.EncodeToString([]byte(zlibOf(marker))) + ">", marker},
		{"half a pair", "/Filter/AHx", "61 6\n>", "a`"},
		{"85, then Flate", "/Filter [ /A85 /FlateDecode ]", a85Of(zlibOf(marker)), marker},
		{"runs", "/Filter/RunLengthDecode", runsOf(marker), marker + "xxxx"},
		{"LZW", "/Filter/LZWDecode", lzwOf(long), long},
		{"of another object", "/Filter 7 0 R", zlibOf(marker), marker},
		{"a picture", "/Filter/DCTDecode", marker, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := "%PDF-1.4\n1 0 obj <<" + c.filter + ">>\nstream\n" + c.body + "\nendstream endobj"
			got := ""
			rep, err := Walk(t.Context(), strings.NewReader(doc), int64(len(doc)), Limits{}, func(e Entry) error {
				b := make([]byte, e.Size)
				_, err := e.Content.ReadAt(b, 0)
				got += string(b)
				return err
			})
			if err != nil || !rep.Complete() || got != c.want {
				t.Errorf("%d bytes %.80q, want %d; %v %+v", len(got), got, len(c.want), err, rep)
			}
		})
	}
}

// What is not looked at is told.
func TestPDFNotRead(t *testing.T) {
	endless := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 2<<20/5) // of nothing, within Flate
	for _, c := range []struct {
		name, filter, body string
		reason             Reason
	}{
		{"an unknown filter", "/Filter/Secret", "x", Unsupported},
		{"an embedded picture", "/Type/EmbeddedFile/Filter/JPXDecode", "x", Unsupported},
		{"packed too often", "/Filter[" + strings.Repeat("/Fl", 9) + "]", zlibOf("x"), Limit},
		{"LZW that lies", "/Filter/LZW", "\xff\xff\xff\xff", Damaged},
		{"Flate that lies", "/Filter/Fl", "nothing of the kind", Damaged},
		{"a filter without end", "/Filter[/Fl/Fl/Fl]", zlibOf(zlibOf("\x78\x9c" + string(endless))), Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rep := walk(t, []byte("%PDF-1.4\n1 0 obj <<"+c.filter+">>\nstream\n"+c.body+"\nendstream endobj"), Limits{Entry: 1 << 20})
			if len(rep.Skipped) == 0 || rep.Skipped[0].Reason != c.reason {
				t.Errorf("%s", fmt.Sprintf("%+v, want %s", rep.Skipped, c.reason))
			}
		})
	}
}
