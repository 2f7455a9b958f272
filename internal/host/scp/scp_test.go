package scp_test

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/scp"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

type silent struct{}

func (silent) Line(context.Context, kernel.Line)        {}
func (silent) Fetch(context.Context, kernel.Fetch)      {}
func (silent) Password(context.Context, string, string) {}
func (silent) Note(context.Context, string, string)     {}
func (silent) Limit(string)                             {}

type stdin struct{ io.Reader }

func (stdin) Write([]byte) (int, error) { return 0, os.ErrClosed }

type stdout struct{ *bytes.Buffer }

func (stdout) Read([]byte) (int, error) { return 0, io.EOF }

func fake(tb testing.TB) *host.Host {
	tb.Helper()
	p, err := persona.Generate("debian-server", 3, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return host.New(host.Config{Name: "h", Persona: p, Clock: clock.System(), FS: vfs.Options{Quota: 1 << 20, MaxNodes: 200}, Limits: kernel.Limits{Steps: 100_000}})
}

// run is scp with args and input; fs is what the visitor sees.
func run(tb testing.TB, h *host.Host, input string, args ...string) (out string, status int, fs *vfs.FS) {
	tb.Helper()
	v := h.Visit(tb.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	s, ctx, cancel := v.Open(tb.Context(), host.Login{User: "root", Recorder: silent{}})
	defer cancel(nil)
	var b bytes.Buffer
	p := host.Shell(s, map[int]*kernel.FD{
		0: kernel.NewFD("", stdin{strings.NewReader(input)}, nil), 1: kernel.NewFD("", stdout{&b}, nil), 2: kernel.NewFD("", stdout{&b}, nil),
	})
	p.Args = append([]string{"scp"}, args...)
	status, err := p.RunProgram(ctx, scp.Programs()["scp"])
	if err != nil {
		tb.Fatal(err)
	}
	return b.String(), status, v.M.FS
}

func TestSink(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		args        []string
		out         string
		status      int
		file, holds string
	}{
		{"one file", "C0644 2 x\nhi\x00", []string{"-t", "/tmp/a"}, "\x00\x00\x00", 0, "/tmp/a", "hi"},
		{"into a directory", "C0644 2 x\nhi\x00", []string{"-t", "/tmp"}, "\x00\x00\x00", 0, "/tmp/x", "hi"},
		{"nothing", "C0600 0 x\n\x00", []string{"-t", "/tmp/z"}, "\x00\x00\x00", 0, "/tmp/z", ""},
		{"a tree", "D0755 0 d\nC0644 1 f\nx\x00E\n", []string{"-r", "-t", "/tmp"}, "\x00\x00\x00\x00\x00", 0, "/tmp/d/f", "x"},
		{"a tree without -r", "D0755 0 d\n", []string{"-t", "/tmp"}, "\x00\x01scp: protocol error: received directory without -r\n", 1, "", ""},
		{"out of the directory", "C0644 2 ../x\nhi\x00", []string{"-t", "/tmp"}, "\x00\x01scp: error: unexpected filename: ../x\n", 1, "", ""},
		{"no such directory", "C0644 2 x\nhi\x00", []string{"-t", "/nope/x"}, "\x00\x01scp: /nope/x: No such file or directory\n", 1, "", ""},
		{"not a directory", "", []string{"-d", "-t", "/etc/passwd"}, "\x01scp: /etc/passwd: Not a directory\n", 1, "", ""},
		{"a bad record", "hello\n", []string{"-t", "/tmp"}, "\x00\x01scp: protocol error: expected control record\n", 1, "", ""},
		{"a bad mode", "Cabcd 2 x\n", []string{"-t", "/tmp"}, "\x00\x01scp: protocol error: bad mode\n", 1, "", ""},
		{"a bad size", "C0644 -2 x\n", []string{"-t", "/tmp"}, "\x00\x01scp: protocol error: size not delimited\n", 1, "", ""},
		{"over the quota", "C0644 2000000 x\n" + strings.Repeat("y", 2000000) + "\x00", []string{"-t", "/tmp"}, "\x00\x00\x01scp: /tmp/x: No space left on device\n", 1, "", ""},
		{"the end in the middle", "C0644 20 x\nhi", []string{"-t", "/tmp"}, "\x00\x00", 1, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, status, fs := run(t, fake(t), tt.input, tt.args...)
			if out != tt.out || status != tt.status {
				t.Errorf("%q, %d; want %q, %d", out, status, tt.out, tt.status)
			}
			if tt.file != "" {
				if b, err := fs.ReadFile(vfs.Root(), tt.file, 1<<20); string(b) != tt.holds || err != nil {
					t.Errorf("%s holds %q, %v", tt.file, b, err)
				}
			}
		})
	}
}

func TestTimesAreKept(t *testing.T) {
	_, status, fs := run(t, fake(t), "T1500000000 0 1400000000 0\nC0751 1 x\ny\x00", "-p", "-t", "/tmp/x")
	in, err := fs.Stat(vfs.Root(), "/tmp/x")
	if status != 0 || err != nil || in.Mode != 0o751 || in.Mtime.Unix() != 1_500_000_000 || in.Atime.Unix() != 1_400_000_000 {
		t.Errorf("%d, %+v, %v", status, in, err)
	}
}

func TestSource(t *testing.T) {
	h := fake(t)
	run(t, h, "C0640 2 x\nhi\x00", "-p", "-t", "/tmp/x")
	for _, tt := range []struct {
		name, input string
		args        []string
		out         string
		status      int
	}{
		{"one file", "\x00\x00\x00", []string{"-f", "/tmp/x"}, "C0640 2 x\nhi\x00", 0},
		{"none", "\x00", []string{"-f", "/nope"}, "\x01scp: /nope: No such file or directory\n", 1},
		{"a directory", "\x00", []string{"-f", "/etc"}, "\x01scp: /etc: not a regular file\n", 1},
		{"the other end leaves", "", []string{"-f", "/tmp/x"}, "", 1},
		{"the other end refuses", "\x00\x01no\n", []string{"-f", "/tmp/x"}, "C0640 2 x\n", 1},
	} {
		if out, status, _ := run(t, h, tt.input, tt.args...); out != tt.out || status != tt.status {
			t.Errorf("%s: %q, %d; want %q, %d", tt.name, out, status, tt.out, tt.status)
		}
	}
}

// FuzzSink: whatever comes, nothing is made outside the target, and the quota holds.
func FuzzSink(f *testing.F) {
	f.Add([]byte("D0755 0 d\nT1 0 1 0\nC0644 1 f\nx\x00E\n"))
	f.Add([]byte("C0644 99999999999 x\nhi"))
	f.Add([]byte("C0644 1 ..\nx\x00"))
	h := fake(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
		v.M.FS.Mkdir(vfs.Root(), "/tmp/in", 0o755)
		v.Close()
		_, _, fs := run(t, h, string(data), "-r", "-p", "-t", "/tmp/in")
		for _, c := range fs.Changes() {
			if c.Path != "/tmp" && !strings.HasPrefix(c.Path, "/tmp/in") && !c.Removed {
				t.Fatalf("%s was changed", c.Path)
			}
		}
		if used, _ := fs.Used(); used > 1<<20 {
			t.Fatalf("%d bytes over the quota", used)
		}
	})
}
