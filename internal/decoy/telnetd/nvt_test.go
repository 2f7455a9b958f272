package telnetd

import (
	"bytes"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct{ name, in, want, seen string }{
		{"text", "root\r\n", "root\r", ""},
		{"cr nul", "root\r\x00ls\r\x00", "root\rls\r", ""},
		{"cr alone", "a\rb\r\rc", "a\rb\r\rc", ""},
		{"lf", "a\nb\n", "a\nb\n", ""},
		{"literal 255", "a\xff\xffb", "a\xffb", ""},
		{"options", "\xff\xfb\x18\xff\xfd\x03\xff\xfc\x01x", "x", "will ttype, do sga, wont echo"},
		{"window", "\xff\xfb\x1f\xff\xfa\x1f\x00\x84\x00\x32\xff\xf0ok", "ok", "will naws, sb naws"},
		{"another subnegotiation is data, as in BusyBox", "\xff\xfa\x18\x00xterm\xff\xf0y", "\x00xtermy", "sb ttype"},
		{"commands", "\xff\xf1a\xff\xf6b", "ab", "cmd 241, cmd 246"},
		{"no command at all", "\xff\x01\x02z", "z", "1 2"},
		{"cut off", "a\xff", "a", ""},
		{"cut off in an option", "a\xff\xfd", "a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d decoder
			rows, cols := 0, 0
			d.resize = func(r, c int) { rows, cols = r, c }
			if got := string(d.decode(nil, []byte(tt.in))); got != tt.want || d.seen.String() != tt.seen {
				t.Errorf("got %q and %q, want %q and %q", got, d.seen.String(), tt.want, tt.seen)
			}
			if tt.name == "window" && (rows != 50 || cols != 132) {
				t.Errorf("window of %d rows and %d columns", rows, cols)
			}
		})
	}
}

func TestClientNewlines(t *testing.T) {
	for in, want := range map[string]string{"a\r\n": "crlf", "a\r\x00": "crnul", "a\n": "lf", "a\rb": "cr", "a": "", "\r\na\n": "crlf"} {
		var d decoder
		d.decode(nil, []byte(in))
		if d.seen.newline != want {
			t.Errorf("%q: %q, want %q", in, d.seen.newline, want)
		}
	}
}

// FuzzDecode: where a stream is cut makes no difference, the data are never
// longer than the stream, what was escaped comes back, and what is remembered
// of a client stays small.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"root\r\nadmin\r\n", "\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0", "\xff\xff\xff\xf0\r", "\xff\xfa\x18\x00xterm\xff\xf0", strings.Repeat("\xff\xfd\x01", 99)} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var whole, split decoder
		want := whole.decode(nil, in)
		at := min(int(cut), len(in))
		got := split.decode(split.decode(nil, in[:at]), in[at:])
		if !bytes.Equal(got, want) || split.seen.String() != whole.seen.String() || split.seen.newline != whole.seen.newline {
			t.Fatalf("cut at %d: %q %q, whole: %q %q", at, got, split.seen.String(), want, whole.seen.String())
		}
		if len(want) > len(in) || len(whole.seen.words) > maxSeen {
			t.Fatalf("%d bytes of %d, %d words", len(want), len(in), len(whole.seen.words))
		}
		plain := bytes.ReplaceAll(in, []byte("\r"), []byte("r"))
		var back decoder
		if got := back.decode(nil, escape(plain)); !bytes.Equal(got, plain) {
			t.Fatalf("%q came back as %q", plain, got)
		}
	})
}
