package programs

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// result is what one line gives, by the fake host or by the real Debian.
type result struct {
	Out, Err string
	Status   int
}

// scratch is what lies in the working directory before each line.
var scratch = map[string]string{
	"a.txt":      "alpha\nbeta\ngamma\ndelta\n",
	"b.txt":      "alpha\nbeta2\ngamma\nepsilon\n",
	"num.txt":    "10 x\n9 y\n2 z\n33 a\n2 b\n",
	"csv":        "id,name,city\n1,anna,Bonn\n2,bernd,Ulm\n3,carla,Köln\n",
	"noeol":      "one\ntwo",
	"empty":      "",
	"tabs":       "a\tb\tc\n1\t\t3\n",
	"words":      "the quick  brown fox\njumps over the lazy dog\n\nthe end\n",
	"bin":        "\x00\x01\x02hello\xff\xfe\n\x7fELF",
	"dir/one":    "1\n",
	"dir/two":    "22\n",
	"dir/s/deep": "333\n",
	"run.sh":     "#!/bin/sh\necho \"run $0 $# $*\"\n",
	"plain.sh":   "echo plain $1\nexit 3\n",
	"sorted1":    "a 1\nb 2\nd 4\n",
	"sorted2":    "a x\nc y\nd z\n",
}

// onDebian reports whether this machine is the Debian that the persona claims.
func onDebian(t *testing.T) {
	t.Helper()
	v, err := os.ReadFile("/etc/debian_version")
	if err != nil || !strings.HasPrefix(string(v), "12.") {
		t.Skip("this is not a Debian 12: nothing to hold the fake host against")
	}
	if out, err := exec.Command("bash", "--version").Output(); err != nil || !strings.HasPrefix(string(out), "GNU bash, version 5.2.15") {
		t.Skip("bash is not Debian 12's")
	}
}

// realRun runs a line in the real bash, in a directory of its own.
func realRun(t *testing.T, dir, line string) result {
	t.Helper()
	for name, text := range scratch {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), modeOf(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	// Whoever started the test may ignore SIGHUP and the like; a login does not.
	c := exec.CommandContext(ctx, "/usr/bin/env", "--default-signal", "bash", "-c", line)
	c.Dir = dir
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "LANG=C.UTF-8", "USER=root"}
	c.Stdin = strings.NewReader("in one\nin two\n")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	return result{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

func modeOf(name string) os.FileMode {
	if strings.HasSuffix(name, ".sh") {
		return 0o755
	}
	return 0o644
}

// fakeRun runs a line in the fake host, in the same directory.
func fakeRun(t *testing.T, h *host.Host, dir, line string) result {
	t.Helper()
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	root := vfs.Root()
	mk := func(d string) {
		for i := 1; i <= len(d); i++ {
			if i == len(d) || d[i] == '/' {
				v.M.FS.Mkdir(root, d[:i], 0o755)
			}
		}
	}
	mk(dir)
	for name, text := range scratch {
		mk(filepath.Dir(dir + "/" + name))
		if err := v.M.FS.WriteFile(root, dir+"/"+name, []byte(text), uint32(modeOf(name))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	s, ctx, cancel := v.Open(ctx, host.Login{User: "root", From: netip.MustParseAddrPort("198.51.100.7:4000"), To: netip.MustParseAddrPort("127.0.0.1:22"), Service: "ssh", Recorder: silent{}})
	defer cancel(nil)
	out, errs := &safe{}, &safe{}
	p := host.Shell(s, map[int]*kernel.FD{
		0: kernel.NewFD("pipe:[1]", stdin{strings.NewReader("in one\nin two\n")}, nil), 1: kernel.NewFD("pipe:[2]", out, nil), 2: kernel.NewFD("pipe:[3]", errs, nil),
	})
	p.Dir = dir
	p.Env = map[string]string{"PATH": p.Env["PATH"], "HOME": dir, "LANG": "C.UTF-8", "USER": "root"}
	status := shell.Exec(ctx, p, line)
	return result{out.b.String(), errs.b.String(), status}
}

// TestDebian holds the fake host against the real Debian: the same line, the
// same directory, the same texts and status.
func TestDebian(t *testing.T) {
	onDebian(t)
	files, err := filepath.Glob("testdata/debian/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables in testdata/debian: ", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			h := testHost(t, kernel.Limits{})
			for n, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
				if line == "" || strings.HasPrefix(line, "##") {
					continue
				}
				line = strings.ReplaceAll(line, "⏎", "\n")
				prog, _, _ := strings.Cut(line, " ")
				if strings.HasPrefix(line, "?") { // the program may be missing here
					prog, line = prog[1:], line[1:]
					if _, err := exec.LookPath(prog); err != nil {
						continue
					}
				}
				dir := t.TempDir()
				want := realRun(t, dir, line)
				if got := fakeRun(t, h, dir, line); got != want {
					t.Errorf("%s:%d: %s\nfake [%d] %q %q\nreal [%d] %q %q", filepath.Base(f), n+1, line, got.Status, got.Out, got.Err, want.Status, want.Out, want.Err)
				}
			}
		})
	}
}
