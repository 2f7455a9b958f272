package hunt

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// field writes a field of the journal's export format with its length.
func field(name, value string) string {
	return name + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
}

// numbers is a text as journalctl writes it in JSON where it is not UTF-8.
func numbers(s string) string {
	var b []byte
	for i := range len(s) {
		b = strconv.AppendInt(append(b, ','), int64(s[i]), 10)
	}
	return "[" + string(b[1:]) + "]"
}

// TestJournalExport: fields may hold anything, also what looks like the end of
// an entry, and a broken entry takes no other with it.
func TestJournalExport(t *testing.T) {
	const ask = "query[A] x.bad.example from 192.0.2.1"
	entry := func(fields ...string) string {
		return "__CURSOR=a\n__REALTIME_TIMESTAMP=1684329817000000\nSYSLOG_IDENTIFIER=dnsmasq\n" + strings.Join(fields, "") + "\n"
	}
	good := entry("MESSAGE=" + ask + "\n")
	forged := "x\n\n__CURSOR=b\n__REALTIME_TIMESTAMP=1684329817000000\nSYSLOG_IDENTIFIER=dnsmasq\nMESSAGE=" + ask + "\n\n"
	flood := strings.Repeat(strings.Replace(entry(field("MESSAGE", forged)), "dnsmasq", "sshd", 1), 3*blockSize/len(forged))
	for _, tt := range []struct {
		name, in, found string
		damaged         int64
	}{
		{"mostly lengths", entry(field("_SELINUX_CONTEXT", "u\n"), field("A", "\x00\x01\x02"), "MESSAGE="+ask+"\n"), "1", 0},
		{"an entry inside a field", flood + good, strconv.Itoa(strings.Count(flood, "\n") + 1), 0},
		{"broken in between", good + entry("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx\n") + good, "1;12", 1},
		{"broken at the end", good + entry("MESSAGE\n\xff\x00\x00\x00\x00\x00\x00\x00x\n"), "1", 1},
		{"a name alone", good + entry("MESSAGE\n") + good, "1;11", 1},
		{"json", `{"__REALTIME_TIMESTAMP":"1684329817000000","SYSLOG_IDENTIFIER":"dnsmasq","MESSAGE":"` + ask + `"}`, "1", 0},
		{"json, bytes", `{"__REALTIME_TIMESTAMP":"1684329817000000","SYSLOG_IDENTIFIER":"dnsmasq","MESSAGE":` + numbers(ask+"\xff") + `}`, "1", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(file, []byte(tt.in), 0o600); err != nil {
				t.Fatal(err)
			}
			h, matches := hunting(t, small(t), Config{Paths: []string{file}, Workers: 2})
			var got []string
			for _, m := range matches {
				got = append(got, strconv.FormatUint(m.Record, 10))
				if m.Time != 1684329817e9 {
					t.Errorf("time %d", m.Time)
				}
			}
			if diff := cmp.Diff(tt.found, strings.Join(got, ";")); diff != "" {
				t.Error(diff)
			}
			if n := h.Stats.Damaged.Load(); n != tt.damaged {
				t.Errorf("%d damaged, want %d", n, tt.damaged)
			}
		})
	}
}
