package avcheck

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
)

// during runs a check while act, which plays the antivirus program, is called
// once all files are there.
func during(t *testing.T, cfg Config, act func(dir string)) (*Report, error) {
	t.Helper()
	cfg.Dir, cfg.Poll = filepath.Join(t.TempDir(), "avtest"), 5*time.Millisecond
	if cfg.Conf == "" {
		cfg.Conf = filepath.Join(t.TempDir(), "clamd.conf")
		if err := os.WriteFile(cfg.Conf, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil { // the harmless text is written last
			if b, err := os.ReadFile(filepath.Join(cfg.Dir, "harmless.txt")); err == nil && len(b) > 0 {
				if act != nil {
					act(cfg.Dir)
				}
				return
			}
			runtime.Gosched()
		}
	}()
	rep, err := Run(ctx, cfg)
	cancel()
	<-done
	if _, serr := os.Stat(cfg.Dir); !errors.Is(serr, os.ErrNotExist) {
		t.Errorf("the directory stays: %v", serr)
	}
	return rep, err
}

func outcomes(r *Report) map[string]string {
	m := map[string]string{}
	for _, x := range r.Results {
		m[filepath.Base(x.File)] = x.Outcome
	}
	return m
}

func TestWhatBecomesOfTheFiles(t *testing.T) {
	rep, err := during(t, Config{Wait: 500 * time.Millisecond}, func(dir string) {
		os.Remove(filepath.Join(dir, "eicar.com"))
		os.WriteFile(filepath.Join(dir, "eicar.zip"), nil, 0o600)
		os.WriteFile(filepath.Join(dir, "eicar.tar.gz"), []byte("replaced"), 0o600)
		os.Remove(filepath.Join(dir, "harmless.txt"))
	})
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rep)
	for name, want := range map[string]string{
		"eicar.com": Quarantined, "eicar.zip": Quarantined, "eicar.tar.gz": Quarantined, "holiday.jpg": Nothing, "eicar-nested.zip": Nothing, "harmless.txt": Quarantined,
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	if rep.Fine() {
		t.Error("that is not fine")
	}
}

func TestBlocked(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root opens everything")
	}
	rep, err := during(t, Config{Wait: 500 * time.Millisecond}, func(dir string) { os.Chmod(filepath.Join(dir, "holiday.jpg"), 0) })
	if err != nil || outcomes(rep)["holiday.jpg"] != Blocked {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestTheDirectoryMustBeFresh(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "eicar.com")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Config{Dir: dir}); !errors.Is(err, errNotEmpty) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(mine); string(b) != "mine" {
		t.Error("a file that was there is changed")
	}
	empty := t.TempDir()
	if _, err := Run(t.Context(), Config{Dir: empty}); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(empty); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := filepath.Join(t.TempDir(), "x")
	if _, err := Run(ctx, Config{Dir: gone, Wait: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("an interrupted check leaves its files")
	}
}

// TestTheTestFileStandsNowhereWhole looks into the sources and the program.
func TestTheTestFileStandsNowhereWhole(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mark := eicar()
	if len(mark) != 68 || !bytes.HasPrefix(mark, []byte("X5O!")) {
		t.Fatalf("%d bytes", len(mark))
	}
	for _, f := range append(files, self) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, mark) {
			t.Errorf("%s holds the test file", f)
		}
	}
}

func TestDefenderEvents(t *testing.T) {
	events := filepath.Join(t.TempDir(), "e.jsonl")
	if err := os.WriteFile(events, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	text := `{"@timestamp":"` + at(0) + `","winlog":{"channel":"Microsoft-Windows-Windows Defender/Operational","event_id":1116,"event_data":{"Threat Name":"Virus:DOS/EICAR_Test_File","Path":"file:_C:\\share\\avtest\\eicar.com"}}}
{"TimeCreated":"` + at(0) + `","Channel":"Microsoft-Windows-Windows Defender/Operational","EventID":1117,"Threat_Name":"Virus:DOS/EICAR_Test_File","Path":"containerfile:_C:\\share\\AVTEST\\eicar.zip; file:_C:\\share\\avtest\\eicar.zip->eicar.com","Action_Name":"Quarantine"}
{"@timestamp":"` + at(0) + `","EventID":1117,"Channel":"Microsoft-Windows-Windows Defender/Operational","Threat Name":"E","Path":"file:_C:\\share\\avtest\\holiday.jpg","Action Name":"Block"}
{"@timestamp":"` + at(-time.Hour) + `","EventID":1117,"Channel":"Microsoft-Windows-Windows Defender/Operational","Threat Name":"E","Path":"file:_C:\\share\\avtest\\eicar.tar.gz","Action Name":"Quarantine"}
{"@timestamp":"` + at(0) + `","EventID":1116,"Channel":"Microsoft-Windows-Windows Defender/Operational","Threat Name":"E","Path":"file:_C:\\elsewhere\\eicar-nested.zip"}
{"@timestamp":"` + at(0) + `","EventID":1116,"Channel":"Application","Path":"file:_C:\\share\\avtest\\eicar-nested.zip"}
{"@timestamp":"` + at(0) + `","EventID":5001,"Channel":"Microsoft-Windows-Windows Defender/Operational"}
{"@timestamp":"` + at(0) + `","EventID":5007,"Channel":"Microsoft-Windows-Windows Defender/Operational","New Value":"HKLM\\SOFTWARE\\Microsoft\\Windows Defender\\Exclusions\\Paths\\C:\\share = 0x0"}
`
	rep, err := during(t, Config{Wait: 500 * time.Millisecond, Events: events}, func(string) { os.WriteFile(events, []byte(text), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rep)
	for name, want := range map[string]string{
		"eicar.com": Logged, "eicar.zip": Quarantined, "holiday.jpg": Blocked, "eicar.tar.gz": Nothing, "eicar-nested.zip": Nothing, "harmless.txt": Nothing,
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	notes := strings.Join(rep.State.Notes, "\n")
	for _, want := range []string{"turned off (5001", `Exclusions\Paths\C:\share`, "older than this check"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in %s", want, notes)
		}
	}
	if rep.Results[0].Name != "Virus:DOS/EICAR_Test_File" {
		t.Errorf("%+v", rep.Results[0])
	}
	if _, err := during(t, Config{Events: "/nosuch"}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("events that are not there: %v", err)
	}
	os.WriteFile(events, []byte("nonsense\n"), 0o600)
	if _, err := during(t, Config{Events: events}, nil); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestClamAVsLog(t *testing.T) {
	dir := t.TempDir()
	log, conf := filepath.Join(dir, "l"), filepath.Join(dir, "clamd.conf")
	text := "# Exclude nothing\nLogFile " + log + "\nOnAccessPrevention yes\nExcludePath ^/proc/\nOnAccessExcludePath " + os.TempDir() + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := during(t, Config{Wait: 500 * time.Millisecond, Conf: conf}, func(dir string) {
		var b strings.Builder
		for _, n := range []string{"eicar.com", "holiday.jpg", "eicar.zip", "eicar-nested.zip", "eicar.tar.gz"} {
			fmt.Fprintf(&b, "Mon Jul 14 08:26:20 2025 -> %s/%s: Win.Test.EICAR_HDB-1(abc:68) FOUND\n", dir, n)
		}
		os.WriteFile(log, []byte(b.String()+"half a line"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range outcomes(rep) {
		if want := map[bool]string{true: Nothing, false: Logged}[name == "harmless.txt"]; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if s := rep.State; !rep.Fine() || s.Prevention != "yes" || len(s.Exclusions) != 2 || !strings.HasPrefix(s.Covers, "OnAccessExcludePath") || rep.Results[0].Name != "Win.Test.EICAR_HDB-1" {
		t.Errorf("%+v", rep)
	}
}

// fakeClamd answers at a socket, whose path it gives.
func fakeClamd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			command, _ := bufio.NewReader(c).ReadString(0)
			answer := "ClamAV 1.4.3/27700/" + time.Now().UTC().Add(-73*time.Hour).Format("Mon Jan _2 15:04:05 2006")
			if f, ok := strings.CutPrefix(strings.TrimSuffix(command, "\x00"), "zSCAN "); ok {
				if answer = f + ": OK"; strings.Contains(f, "eicar") {
					answer = f + ": Win.Test.EICAR_HDB-1 FOUND"
				}
			}
			io.WriteString(c, answer+"\x00")
			c.Close()
		}
	}()
	return path
}

func TestClamdOfItsConfiguration(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "clamd.conf")
	write := func(text string) {
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# where it listens\nLocalSocket " + fakeClamd(t) + "\nTCPSocket 1\n")
	rep, err := during(t, Config{Wait: time.Millisecond, Conf: conf}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rep); got["eicar.com"] != Logged || rep.State.AgeDays != 3 || rep.Results[0].By != "clamd, when asked" {
		t.Errorf("%+v", rep)
	}
	// What it names may not be there: the check is made all the same, and tells.
	write("LocalSocket /nosuch/clamd.ctl\n")
	rep, err = during(t, Config{Wait: time.Millisecond, Conf: conf}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := rep.State.Notes; len(n) != 1 || !strings.Contains(n[0], "/nosuch/clamd.ctl") {
		t.Errorf("%q", n)
	}
}

func TestClamdIsAsked(t *testing.T) {
	path := fakeClamd(t)
	client, err := clamd.New(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := during(t, Config{Wait: time.Millisecond, Clamd: client}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rep); got["eicar.com"] != Logged || got["holiday.jpg"] != Nothing || got["harmless.txt"] != Nothing {
		t.Errorf("%v", got)
	}
	if s := rep.State; s.AgeDays != 3 || s.Signatures != "27700" || rep.Results[0].By != "clamd, when asked" {
		t.Errorf("%+v", rep)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"EventID":1116,"Threat Name":"a","Path":"file:_C:\\x\\eicar.com"}` + "\n"))
	f.Add([]byte("ElfFile\x00"))
	f.Add(append([]byte("ElfFile\x00"), make([]byte, 5000)...))
	path := filepath.Join(f.TempDir(), "e")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Skip(err)
		}
		e, err := openEvents(path)
		if err != nil {
			t.Fatal(err)
		}
		_ = e.each(func(d *defenderEvent) {
			switch d.id {
			case defenderFound, defenderActed, defenderDisabled, defenderChanged:
			default:
				t.Errorf("%q is no event of Defender", d.id)
			}
		})
	})
}
