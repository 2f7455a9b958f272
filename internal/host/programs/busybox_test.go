package programs

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// router is a visitor's view of a fake router with a processor of that name.
func router(tb testing.TB, machine string) *host.Visit {
	tb.Helper()
	p := new(persona.Persona)
	for seed := uint64(1); p.Kernel.Machine != machine; seed++ {
		var err error
		if p, err = persona.Generate("busybox-router", seed, time.Now()); err != nil || seed > 100 {
			tb.Fatal("no such machine: ", machine, err)
		}
	}
	h := host.New(host.Config{Name: "gateway", Persona: p, Programs: All(), Clock: clock.System(), Net: netcmd.World{Downloads: "serve"}})
	return h.Visit(tb.Context(), netip.MustParseAddr("198.51.100.7"))
}

// version is what differs between two builds of BusyBox.
var version = regexp.MustCompile(`BusyBox v\S+ \([^)]*\)`)

// short is a usage screen of a build that has the long ones, as one that has
// only the synopses would show it.
func short(s string) string {
	var out []string
	lines := strings.Split(s, "\n")
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if !strings.HasPrefix(lines[i], "Usage: ") {
			continue
		}
		for i+1 < len(lines) && lines[i+1] != "" { // synopses of several lines
			i++
			out = append(out, lines[i])
		}
		for i+1 < len(lines) && (lines[i+1] == "" || lines[i+1][0] == '\t' || !strings.Contains(lines[i+1], ":")) && i+2 < len(lines) {
			i++ // the long text, up to the next message
		}
	}
	return strings.TrimRight(version.ReplaceAllString(strings.Join(out, "\n"), "BusyBox"), "\n")
}

// TestAgainstBusyBox holds the lines of testdata against a real BusyBox, where
// there is one: output and status.
func TestAgainstBusyBox(t *testing.T) {
	box := os.Getenv("LAPWING_BUSYBOX")
	if box == "" {
		box = sharedtest.Program(t, "busybox")
	}
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), box, "--install", "-s", bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, file := range []string{"ash.txt", "applets.txt"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			t.Run(line, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				cmd := exec.CommandContext(ctx, filepath.Join(bin, "sh"), "-c", line)
				cmd.Args[0] = "sh"
				cmd.Dir = t.TempDir()
				cmd.Env = []string{"PATH=" + bin, "HOME=/root", "PWD=" + cmd.Dir}
				var b bytes.Buffer
				cmd.Stdout, cmd.Stderr = &b, &b
				cmd.Run() // the status is compared
				want := short(strings.ReplaceAll(b.String(), cmd.Dir, "/tmp"))
				v := router(t, "armv7l")
				defer v.Close()
				got, rc := run(t, v, "cd /tmp/tmp\n"+line, "")
				if short(got) != want || rc != cmd.ProcessState.ExitCode() {
					t.Errorf("%q\ngives [%d] %q\nwant  [%d] %q", line, rc, short(got), cmd.ProcessState.ExitCode(), want)
				}
			})
		}
	}
}
