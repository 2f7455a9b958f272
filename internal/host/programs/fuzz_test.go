package programs

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
)

// fed runs line with data in /tmp/x, in a session with small limits: no
// program of ours panics, the output is bounded, the status is one.
func fed(f *testing.F, seeds []string, line string) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	h := small(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 8192 {
			return
		}
		n := &notes{}
		w, st, _ := hostile(t, h, "echo "+base64.StdEncoding.EncodeToString(data)+" | base64 -d > /tmp/x; "+line, n)
		if w.n > 6<<20 || st < 0 || st > 255 || strings.Contains(w.b.String(), "goroutine ") {
			t.Errorf("%d bytes, status %d, %.200q", w.n, st, w.b.String())
		}
		for _, a := range n.all {
			if a == "program-crashed" {
				t.Errorf("a program of ours panicked; output %.300q", w.b.String())
			}
		}
	})
}

func FuzzAwk(f *testing.F) {
	fed(f, []string{
		`BEGIN { FS = ":" } $3 > 10 { n[$7]++ } END { for (s in n) printf "%5d %s\n", n[s], s }`,
		`function f(a, b) { return a ? f(a-1, b b) : b } { print f(3, substr($0, 2, 1)) | "sort -u" }`,
		`/root/,/bin/ { gsub(/[^:]+/, "<&>"); print toupper($0) > "/tmp/o" } { getline; next }`,
		`{ a[NR] = split($0, p, /:/); if (a[NR] ~ "7" && !(NR in a)) exit 3; delete a; do x++; while (x < 9) }`,
		`BEGIN { while (("ls" | getline l) > 0) print length(l), index(l, "e"), sprintf("%c%-*d%e", 65, 4, 7, 1/3) }`,
	}, "head -3 /etc/passwd | awk -f /tmp/x")
}

func FuzzSed(f *testing.F) {
	fed(f, []string{
		"1,3s/\\(root\\).*/[\\1&]/gp\n$!N;P;D", ":a;s/^\\(.\\)\\(.*\\)$/\\2\\1/;t b;b a;:b", "/bin/{h;G;x;=;l 20\n}", "y/abc/xyz/;1~2d;$r /etc/hostname", "2i\\\ntext\\\nmore\n$a end\n/x/c changed",
		"s/a*/x/2g;w /tmp/o\n0,/root/Id;q5", "s/[[:alpha:]]\\{2,\\}\\|x\\?/\\U&\\E/3",
	}, "head -3 /etc/passwd | sed -f /tmp/x")
}

func FuzzGrep(f *testing.F) {
	fed(f, []string{"root", "^\\(a\\|b\\)*\\1$", "[[:digit:]]\\{1,3\\}", "[]a-]", "\\<bin\\>", "a**\n(b", "[z-a]"},
		"grep -f /tmp/x /etc/passwd | head -5; grep -E -c -f /tmp/x /etc/passwd; grep -o -i -f /tmp/x /etc/group | head -3")
}

func FuzzUnpack(f *testing.F) {
	head := "a.txt" + strings.Repeat("\x00", 95) + "0000644\x000000000\x000000000\x0000000000004\x0000000000000\x00"
	fed(f, []string{
		head, head + "012345\x00 0" + strings.Repeat("\x00", 355) + "text", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x04\x00", "PK\x03\x04\x14\x00\x00\x00", "BZh91AY&SY", "\xfd7zXZ\x00\x00\x04", "070701",
	}, "cd /tmp; mkdir o; tar xvf x -C o; gzip -dc < x; bzip2 -dc < x; xz -dc < x; unzip -o x -d o; tar tzf x; ls -R o")
}

// FuzzGetopt: every argument is an operand, an option, its value or a fault.
func FuzzGetopt(f *testing.F) {
	for _, s := range []string{"-a -bfile --long=3 -- -x y", "--lo --nope -b", "- -- --", "-abc\x00 --long", "+x -a"} {
		f.Add(s, "ab:c?d")
	}
	f.Fuzz(func(t *testing.T, line, letters string) {
		args := strings.Split(line, " ")
		o := getopt.Parse(args, letters, "long=/b longer/a other? yes")
		if len(o.Args) > len(args) || o.Len() > len(line)+1 {
			t.Fatalf("%q with %q: %d operands, %d options", args, letters, len(o.Args), o.Len())
		}
		for _, a := range o.Args {
			if !strings.Contains(line, a) {
				t.Fatalf("%q is not of %q", a, line)
			}
		}
	})
}
