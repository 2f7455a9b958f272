package scan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const beProcess = "LAPWING_TEST_PROCESS"

// TestMain is a process that holds a marker in its memory, when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv(beProcess) != "" {
		b := make([]byte, 1<<20)
		copy(b[500_000:], strings.ToUpper("held in memory: ")+strings.Repeat("lapwing", 3))
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Println(len(b), b[500_000])
		return
	}
	os.Exit(m.Run())
}

// TestProcesses runs a deleted program that holds a marker in its memory.
func TestProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "prog")
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(out, in)
	io.WriteString(out, "MARK-OF-"+"THE-PROGRAM") // only this copy ends so
	in.Close()
	out.Close()
	c := exec.Command(program)
	c.Env = append(os.Environ(), beProcess+"=1")
	stdin, _ := c.StdinPipe()
	stdout, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); c.Wait() }()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	os.Remove(program)
	me := fmt.Sprintf("process %d (", c.Process.Pid)
	y := compiled(t, `rule Memory { strings: $a = "HELD IN MEMORY: lapwinglapwinglapwing" condition: $a }
		rule Program { strings: $a = { 4d 41 52 4b 2d 4f 46 2d 54 48 45 2d 50 52 4f 47 52 41 4d } condition: $a at filesize - 19 }`)
	found := map[string]string{}
	tree := Tree{Scanners: []Scanner{y}}
	p := processes{t: &tree, memory: &Tree{Scanners: []Scanner{y}}, seen: map[string]bool{}, report: func(r Report) {
		for _, f := range r.Findings {
			found[f.Rule] = r.File
		}
		if r.Err != nil && !errors.Is(r.Err, errRegion) {
			t.Errorf("%s: %v", r.File, r.Err)
		}
	}}
	p.process(t.Context(), c.Process.Pid)
	if f := found["Program"]; !strings.HasPrefix(f, me) || !strings.Contains(f, "(deleted)") || strings.Contains(f, "memory") {
		t.Errorf("the program: %q", f)
	}
	if f := found["Memory"]; !strings.HasPrefix(f, me) || !strings.Contains(f, " memory ") {
		t.Errorf("the memory: %q", f)
	}
	before := len(p.seen)
	clear(found)
	p.process(t.Context(), c.Process.Pid) // the program and shared regions only once
	if _, again := found["Program"]; again || len(p.seen) != before {
		t.Error("looked at twice")
	}
	p.process(t.Context(), 1<<30) // there is none: nothing is said
}

func TestParseRegion(t *testing.T) {
	for line, want := range map[string]struct {
		size   uint64
		shared bool
		ok     bool
	}{
		"00400000-00401000 r-xp 00000000 08:01 12 /bin/a b (deleted)":        {4096, true, true},
		"00400000-00401000 rw-p 00000000 08:01 12 /bin/a":                    {4096, false, true},
		"7f00-8f00 rw-p 00000000 00:00 0":                                    {4096, false, true},
		"7f00-8f00 r--p 00000000 00:00 0 [anon:x]":                           {4096, false, true},
		"7f00-8f00 ---p 00000000 00:00 0":                                    {},
		"7f00-8f00 rw-s 00000000 00:06 7 /dev/dri/card0":                     {},
		"7f00-8f00 rw-s 00000000 00:06 7 /dev/shm/x":                         {4096, false, true},
		"7ffd-7fff r--p 00000000 00:00 0 [vvar]":                             {},
		"ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0 [vsyscall]": {},
		"8f00-7f00 rw-p 00000000 00:00 0":                                    {},
		"nonsense":                                                           {},
		"0-ffffffffffffffff rw-p 0 00:00 0":                                  {},
	} {
		r, ok := parseRegion(line)
		if ok != want.ok || ok && (r.to-r.from != want.size || (r.shared != "") != want.shared) {
			t.Errorf("%q: %+v, %v", line, r, ok)
		}
	}
}

func FuzzParseRegion(f *testing.F) {
	f.Add("00400000-00401000 r-xp 00000000 08:01 12 /bin/a")
	f.Add("0-0 rrrr 0 0 0")
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := parseRegion(s); ok && (r.to <= r.from || r.to-r.from > 1<<47) {
			t.Errorf("%q: %+v", s, r)
		}
	})
}
