package sftpfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

type silent struct{}

func (silent) Line(context.Context, kernel.Line)        {}
func (silent) Fetch(context.Context, kernel.Fetch)      {}
func (silent) Password(context.Context, string, string) {}
func (silent) Note(context.Context, string, string)     {}
func (silent) Limit(string)                             {}
func (silent) Read(string)                              {}
func (silent) Changed(_, _, _ string)                   {}

func proc(tb testing.TB) *kernel.Proc {
	tb.Helper()
	p, err := persona.Generate("debian-server", 3, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	h := host.New(host.Config{Name: "h", Persona: p, Clock: clock.System(), FS: vfs.Options{Quota: 1 << 20, MaxNodes: 300}})
	s, _, cancel := h.Visit(tb.Context(), netip.MustParseAddr("198.51.100.7")).Open(tb.Context(), host.Login{User: "root", Recorder: silent{}})
	tb.Cleanup(func() { cancel(nil) })
	return host.Shell(s, nil)
}

type rw struct {
	io.Reader
	io.Writer
}

// packets builds requests; each gets the next id.
type packets struct {
	b  bytes.Buffer
	id uint32
}

func (p *packets) add(kind byte, parts ...any) {
	body := []byte{kind}
	if p.id++; kind != fxInit {
		body = binary.BigEndian.AppendUint32(body, p.id)
	}
	for _, v := range parts {
		switch v := v.(type) {
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
		case int:
			body = binary.BigEndian.AppendUint32(body, uint32(v))
		case uint64:
			body = binary.BigEndian.AppendUint64(body, v)
		}
	}
	p.b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(body))))
	p.b.Write(body)
}

// script is what both servers are asked. dir is an empty directory.
func script(dir string) []byte {
	p := &packets{}
	p.add(fxInit, 3)
	h0, h1 := "\x00\x00\x00\x00", "\x00\x00\x00\x01"
	for _, path := range []string{"", "/", dir, dir + "/none", dir + "/none/deeper", "/etc/../" + dir, dir + "/.", "//"} {
		p.add(fxRealpath, path)
	}
	for _, path := range []string{dir, dir + "/none", "/etc/passwd/x", strings.Repeat("x", 300), ""} {
		p.add(fxStat, path)
		p.add(fxLstat, path)
		p.add(fxReadlink, path)
		p.add(fxOpendir, path)
		p.add(fxClose, h0)
		p.add(fxRmdir, path+"/y")
		p.add(fxRemove, path+"/y")
		p.add(fxRename, path+"/y", path+"/z")
	}
	p.add(fxMkdir, dir+"/d", 4, 0o750)
	p.add(fxMkdir, dir+"/d", 0)
	p.add(fxOpen, dir+"/d/f", wantWrite|wantCreate|wantExcl, 4, 0o640)
	p.add(fxWrite, h0, uint64(0), "hello, world")
	p.add(fxWrite, h0, uint64(20), "far")
	p.add(fxRead, h0, uint64(0), 5)
	p.add(fxFstat, h0)
	p.add(fxFsetstat, h0, 4, 0o600)
	p.add(fxFsetstat, h0, 8, 1_500_000_000, 1_400_000_000)
	p.add(fxExtended, "fsync@openssh.com", h0)
	p.add(fxReaddir, h0)
	p.add(fxClose, h0)
	p.add(fxClose, h0)
	p.add(fxWrite, h0, uint64(0), "x")
	p.add(fxOpen, dir+"/d/f", wantWrite|wantCreate|wantExcl, 0)
	p.add(fxOpen, dir+"/d", wantWrite, 0)
	p.add(fxOpen, dir+"/no/f", wantRead, 0)
	p.add(fxOpen, dir+"/d/f", wantRead, 0)
	p.add(fxRead, h0, uint64(0), 100)
	p.add(fxRead, h0, uint64(23), 100)
	p.add(fxRead, h0, uint64(0), 0)
	p.add(fxWrite, h0, uint64(0), "x")
	p.add(fxOpen, dir+"/d/copy", wantRead|wantWrite|wantCreate|wantTrunc, 0)
	p.add(fxExtended, "copy-data", h0, uint64(2), uint64(6), h1, uint64(0))
	p.add(fxRead, h1, uint64(0), 100)
	p.add(fxClose, h1)
	p.add(fxClose, h0)
	p.add(fxSymlink, "f", dir+"/d/l")
	p.add(fxSymlink, "nowhere", dir+"/d/dangling")
	p.add(fxSymlink, "x", dir+"/d/l")
	p.add(fxReadlink, dir+"/d/l")
	p.add(fxReadlink, dir+"/d/f")
	p.add(fxStat, dir+"/d/l")
	p.add(fxLstat, dir+"/d/l")
	p.add(fxStat, dir+"/d/dangling")
	p.add(fxRealpath, dir+"/d/l")
	p.add(fxRealpath, dir+"/d/dangling")
	p.add(fxExtended, "hardlink@openssh.com", dir+"/d/f", dir+"/d/hard")
	p.add(fxStat, dir+"/d/f")
	p.add(fxSetstat, dir+"/d/f", 1, uint64(3))
	p.add(fxSetstat, dir+"/d/none", 4, 0o600)
	p.add(fxExtended, "lsetstat@openssh.com", dir+"/d/l", 8, 1_500_000_000, 1_400_000_000)
	p.add(fxStat, dir+"/d/hard")
	p.add(fxRename, dir+"/d/f", dir+"/d/copy")
	p.add(fxRename, dir+"/d/f", dir+"/d/g")
	p.add(fxExtended, "posix-rename@openssh.com", dir+"/d/g", dir+"/d/copy")
	p.add(fxRename, dir+"/d", dir+"/e")
	p.add(fxOpendir, dir+"/e")
	p.add(fxReaddir, h0)
	p.add(fxReaddir, h0)
	p.add(fxRead, h0, uint64(0), 10)
	p.add(fxFstat, h0)
	p.add(fxClose, h0)
	p.add(fxRmdir, dir+"/e")
	p.add(fxRemove, dir+"/e")
	p.add(fxRemove, dir+"/e/hard")
	p.add(fxExtended, "limits@openssh.com")
	p.add(fxExtended, "no-such@openssh.com")
	p.add(fxExtended, "statvfs@openssh.com", dir+"/none")
	p.add(fxExtended, "fstatvfs@openssh.com", h0)
	p.add(fxExtended, "expand-path@openssh.com", "~root")
	p.add(fxExtended, "expand-path@openssh.com", "~/x")
	p.add(fxExtended, "expand-path@openssh.com", "~nobody-here")
	p.add(fxExtended, "home-directory", "root")
	p.add(fxExtended, "home-directory", "nobody-here")
	p.add(fxExtended, "users-groups-by-id@openssh.com", "\x00\x00\x00\x00\x00\x0f\x12\x34", "\x00\x00\x00\x00")
	return p.b.Bytes()
}

// count is the number of packets in b.
func count(b []byte) (n int) {
	for ; len(b) >= 4; n++ {
		b = b[4+binary.BigEndian.Uint32(b):]
	}
	return n
}

var (
	stamp = regexp.MustCompile(`\w{3} [ \d]\d ( \d{4}|\d\d:\d\d)`)
	sizes = regexp.MustCompile(` +4096 | +\d+ <t>`)
)

// replies takes answers apart into lines that can be compared.
func replies(b []byte, dir string) []string {
	var out []string
	for len(b) >= 4 {
		n := binary.BigEndian.Uint32(b)
		if int(n)+4 > len(b) {
			return append(out, "cut off")
		}
		p := &reader{b: b[4 : 4+n]}
		b = b[4+n:]
		kind := p.b[0]
		p.b = p.b[1:]
		if kind == fxVersion {
			out = append(out, fmt.Sprintf("version %q", p.b))
			continue
		}
		id := p.u32()
		text := ""
		switch kind {
		case fxStatus:
			text = fmt.Sprintf("%d %q %q", p.u32(), p.str(), p.str())
		case fxHandle, fxData:
			text = fmt.Sprintf("%q", p.str())
		case fxAttrs:
			text = attrText(p)
		case fxName:
			var names []string
			for k := p.u32(); k > 0 && !p.bad; k-- {
				name, long := p.str(), stamp.ReplaceAllString(p.str(), "<t>")
				names = append(names, fmt.Sprintf("%s|%s|%s", name, long, attrText(p)))
			}
			for i := range names { // the order is the file system's
				for j := range i {
					if names[i] < names[j] {
						names[i], names[j] = names[j], names[i]
					}
				}
			}
			text = strings.Join(names, "; ")
		case fxExtReply:
			text = fmt.Sprintf("%q", p.b)
		}
		text = strings.ReplaceAll(text, dir, "<dir>")
		out = append(out, fmt.Sprintf("%d: %d %s", id, kind, sizes.ReplaceAllString(text, " <s> ")))
	}
	return out
}

// attrText leaves out what must differ: times of now, sizes of directories.
func attrText(p *reader) string {
	a := p.attrs()
	if a.mode&0o040000 != 0 {
		a.size = 0
	}
	if a.mtime > 1_600_000_000 {
		a.atime, a.mtime = 1, 1
	}
	a.atime = 0 // Linux moves it when a file is read
	return fmt.Sprintf("flags %x size %d owner %d:%d mode %o times %d %d", a.flags, a.size, a.uid, a.gid, a.mode, a.atime, a.mtime)
}

// TestAsOpenSSH asks OpenSSH's sftp-server and ours the same and compares.
func TestAsOpenSSH(t *testing.T) {
	const server = "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(server); err != nil {
		sharedtest.Missing(t, "sftp-server is missing: .ci/setup installs openssh-server")
	}
	if os.Geteuid() != 0 {
		t.Skip("the fake host's visitor is root: compared with only as root")
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	c := exec.Command(server)
	c.Dir, c.Env = "/root", []string{"HOME=/root"}
	in, _ := c.StdinPipe()
	from, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer in.Close() // it ends at once, whatever it has yet to answer
	ask := script(dir)
	go in.Write(ask)
	var want []byte
	for n := count(ask); n > 0; n-- {
		head := make([]byte, 4)
		if _, err := io.ReadFull(from, head); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(from, body); err != nil {
			t.Fatal(err)
		}
		want = append(append(want, head...), body...)
	}
	p := proc(t)
	if err := p.M.FS.Mkdir(vfs.Root(), "/tmp/w", 0o755); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Serve(p, rw{bytes.NewReader(script("/tmp/w")), &got}, silent{}); err != nil {
		t.Fatal(err)
	}
	w, g := replies(want, dir), replies(got.Bytes(), "/tmp/w")
	if len(w) != len(g) {
		t.Errorf("OpenSSH gives %d answers, we %d", len(w), len(g))
	}
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] && !strings.Contains(w[i], "limits") && !strings.Contains(w[i], `\x04\x00\x00\x00\x00`) {
			t.Errorf("OpenSSH: %s\nwe:      %s", w[i], g[i])
		}
	}
}

// TestQuota: a million files end in failures, not in memory.
func TestQuota(t *testing.T) {
	p := &packets{}
	p.add(fxInit, 3)
	for i := range 5000 {
		p.add(fxMkdir, fmt.Sprint("/tmp/d", i), 0)
	}
	p.add(fxOpen, "/root/big", wantWrite|wantCreate, 0)
	p.add(fxWrite, "\x00\x00\x00\x00", uint64(1<<40), "x")
	p.add(fxWrite, "\x00\x00\x00\x00", uint64(1<<63), "x")
	var out bytes.Buffer
	pr := proc(t)
	if err := Serve(pr, rw{&p.b, &out}, silent{}); err != nil {
		t.Fatal(err)
	}
	made := strings.Count(strings.Join(replies(out.Bytes(), "-"), "\n"), `0 "Success"`)
	if used, nodes := pr.M.FS.Used(); nodes > 300 || used > 1<<20 || made != 300 {
		t.Errorf("%d made, %d nodes, %d bytes", made, nodes, used)
	}
}

// FuzzServe: any bytes end in answers that are whole packets, within the quota.
func FuzzServe(f *testing.F) {
	f.Add(script("/tmp"))
	f.Add([]byte("\x00\x00\x00\x05\x01\x00\x00\x00\x03\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := proc(t)
		var out bytes.Buffer
		Serve(p, rw{bytes.NewReader(data), &out}, silent{})
		for _, r := range replies(out.Bytes(), "-") {
			if r == "cut off" {
				t.Fatal("an answer is cut off")
			}
		}
		if used, nodes := p.M.FS.Used(); used > 1<<20 || nodes > 300 {
			t.Fatalf("over the quota: %d bytes, %d nodes", used, nodes)
		}
	})
}
