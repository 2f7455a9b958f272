package hunt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// TestAuditInterleaved: events whose lines stand between those of others are
// put together, also where the log is cut into blocks.
func TestAuditInterleaved(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	type event struct{ id, left int }
	var open []event
	n := 0
	for b.Len() < 5*blockSize/2 || len(open) > 0 {
		if b.Len() < 5*blockSize/2 && (len(open) == 0 || (len(open) < 6 && rng.IntN(3) == 0)) {
			n++
			open = append(open, event{n, 3})
		}
		i := rng.IntN(len(open))
		e := &open[i]
		line := [...]string{`type=PATH msg=audit(1700000000.100:%d): item=0 name="/usr/bin/perl"`, `type=EXECVE msg=audit(1700000000.100:%d): argc=3 a0="perl" a1="-e" a2="%d"`, `type=SYSCALL msg=audit(1700000000.100:%d): arch=c000003e syscall=59`}[e.left-1]
		args := []any{e.id}
		if e.left == 2 {
			args = append(args, e.id)
		}
		fmt.Fprintf(&b, line+"\n", args...)
		if e.left--; e.left == 0 {
			open = append(open[:i], open[i+1:]...)
		}
	}
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	h, matches := hunting(t, small(t), Config{Paths: []string{file}, Workers: 2})
	if got := h.Stats.Records.Load(); got != int64(n) || len(matches) != n {
		t.Errorf("%d records and %d matches of %d events", got, len(matches), n)
	}
}

func TestAuditBoundary(t *testing.T) {
	line := func(id int) string { return fmt.Sprintf("type=X msg=audit(1.2:%d): a=b\n", id) }
	text := func(ids ...int) []byte {
		var b []byte
		for _, id := range ids {
			b = append(b, line(id)...)
		}
		return b
	}
	one := len(line(1))
	for _, tt := range []struct {
		name string
		ids  []int
		want int // lines before the cut
	}{
		{"before the last event", []int{1, 1, 2, 2}, 2},
		{"not across an event", []int{1, 2, 3, 2, 3, 3}, 1},
		{"nowhere", []int{1, 2, 3, 1}, 4},
		{"one line", []int{1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := auditBoundary(text(tt.ids...)); got != tt.want*one {
				t.Errorf("cut at %d, want %d", got, tt.want*one)
			}
		})
	}
	if id := textlog.AuditID([]byte(line(7))); string(id) != "1.2:7" {
		t.Errorf("id %q", id)
	}
}
