package utmp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/host/utmp"
)

func TestRecords(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 5000, time.UTC)
	list := []utmp.Record{
		{Kind: utmp.BootTime, Line: "~", ID: "~~", User: "reboot", Host: "6.1.0-18-amd64", At: at},
		{Kind: utmp.User, PID: 4711, Line: "pts/0", ID: "ts/0", User: "root", Host: "198.51.100.7", Addr: utmp.Addr("198.51.100.7"), At: at},
		{Kind: utmp.Dead, PID: 4711, Line: "pts/0", Addr: utmp.Addr("2001:db8::1"), At: at.Add(time.Minute)},
	}
	var b []byte
	for _, r := range list {
		b = r.Append(b)
	}
	if len(b) != len(list)*utmp.Size {
		t.Fatalf("%d bytes", len(b))
	}
	if diff := cmp.Diff(list, utmp.Parse(append(b, "rest"...))); diff != "" {
		t.Error(diff)
	}
	long := utmp.Record{Line: strings.Repeat("l", 99), ID: "12345", User: strings.Repeat("u", 99), Host: strings.Repeat("h", 999)}.Append(nil)
	if len(long) != utmp.Size {
		t.Fatalf("%d bytes of long texts", len(long))
	}
	if r := utmp.Parse(long)[0]; len(r.Line) != 32 || len(r.ID) != 4 || len(r.User) != 32 || len(r.Host) != 256 {
		t.Errorf("%+v", r)
	}
}

func TestLastlog(t *testing.T) {
	l := utmp.Lastlog{At: time.Unix(1_700_000_000, 0).UTC(), Line: "pts/0", Host: "198.51.100.7"}
	b := l.Append(nil)
	if len(b) != utmp.LastlogSize {
		t.Fatalf("%d bytes", len(b))
	}
	if diff := cmp.Diff(l, utmp.ParseLastlog(b)); diff != "" {
		t.Error(diff)
	}
	if got := utmp.ParseLastlog(make([]byte, utmp.LastlogSize)); !got.At.IsZero() {
		t.Errorf("%+v", got)
	}
}

// FuzzParse: what a visitor wrote into a book is read, and written the same but
// for what records do not keep.
func FuzzParse(f *testing.F) {
	f.Add(utmp.Record{Kind: utmp.User, PID: 1, Line: "pts/0", User: "root", At: time.Unix(1, 0)}.Append(nil))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list := utmp.Parse(data)
		if len(list) != len(data)/utmp.Size {
			t.Fatalf("%d records of %d bytes", len(list), len(data))
		}
		var b []byte
		for _, r := range list {
			b = r.Append(b)
		}
		for i, r := range utmp.Parse(b) {
			if r.Kind != list[i].Kind || r.PID != list[i].PID || r.Line != list[i].Line || r.ID != list[i].ID || r.User != list[i].User || r.Host != list[i].Host || r.Addr != list[i].Addr {
				t.Fatalf("%+v is %+v", list[i], r)
			}
		}
	})
}
