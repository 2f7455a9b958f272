package victoria

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

// transport reaches the store's socket.
func (s *store) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(s.dir, "s"))
	}}
}

// foreign is a client of the store as of an operator's own server: it sends
// rows as JSON lines.
func (s *store) foreign() *eventlog.Client {
	s.t.Helper()
	srv := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "store"}) },
		Transport: s.transport(),
	})
	s.t.Cleanup(srv.Close)
	c, err := eventlog.NewClient(eventlog.ClientConfig{URL: srv.URL})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func strange(ids *event.IDs, observer string, n int) event.Event {
	now := time.Now().UTC()
	e := event.Event{ID: ids.New(), Time: now, Ingested: now.Truncate(time.Millisecond), Observer: observer, User: "root"}
	e.Describe(event.ActionCommandExecuted)
	switch n % 6 {
	case 0:
		e.CommandLine = "echo \"a\\b\"\t\x1b[0m \u2028 é \U0001f980"
	case 1:
		e.Extra = []event.Field{{Name: "process.args", Value: event.List("a,b", `]"`)}, {Name: "lapwing.new", Value: event.Bool(true)}, {Name: "user.name", Value: event.Int(3)}}
	case 2:
		e.Time = now.AddDate(-3, 0, 0)
	case 3:
		e.ID = fmt.Sprintf("odd \"id\" %d of %s", n, observer)
	case 4:
		e.Extra = []event.Field{{Name: "lapwing.mark", Value: event.String("mine")}, {Name: "_time", Value: event.String("x")}, {Name: "event.risk_score", Value: event.Float(0.25)}}
	}
	return e
}

// TestForms gives the store the same events as lines of the journal and as
// rows of JSON, and looks that it answers the same.
func TestForms(t *testing.T) {
	s := newStore(t)
	ids := event.NewIDs(nil, time.Now)
	events := make([]event.Event, 300)
	for i := range events {
		events[i] = strange(ids, "", i)
	}
	var got [2][]string
	for i, c := range []*eventlog.Client{s.client(), s.foreign()} {
		var b eventlog.Batch
		for _, e := range events {
			e.Observer = fmt.Sprintf("form-%d", i)
			if err := b.Add(e.AppendJSON(nil), "-"); err != nil {
				t.Fatal(err)
			}
		}
		mark := fmt.Sprintf("m%d", i)
		if err := c.Insert(t.Context(), mark, &b); err != nil {
			t.Fatal(err)
		}
		if n := counted(t, s.client(), mark, b.Range()); n != 300 {
			t.Fatalf("%d rows of 300", n)
		}
		err := c.Read(t.Context(), eventlog.Query{Where: eventlog.Is("observer.name", fmt.Sprintf("form-%d", i))}, func(line []byte) error {
			got[i] = append(got[i], strings.Replace(string(line), fmt.Sprintf("form-%d", i), "form", 1))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got[i])
	}
	if d := cmp.Diff(got[0], got[1]); d != "" {
		t.Errorf("%.3000s", d)
	}
}

// counted makes a checkpoint and counts.
func counted(t *testing.T, c *eventlog.Client, mark string, r eventlog.Range) int64 {
	t.Helper()
	for range 300 {
		n, err := c.Checkpoint(t.Context(), eventlog.Stretch{Mark: mark, Span: r, Until: time.Now()})
		if !errors.Is(err, eventlog.ErrNotYet) {
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("no checkpoint in half a minute")
	return 0
}

// TestInsertOdd sends what Client does not: nothing else is lost by it, and
// it is counted as missing.
func TestInsertOdd(t *testing.T) {
	s := newStore(t)
	hc := &http.Client{Transport: s.transport()}
	defer hc.CloseIdleConnections()
	line := func(n int) string {
		e := strange(event.NewIDs(nil, time.Now), "odd", n)
		return string(e.AppendJSON(nil))
	}
	for _, tt := range []struct {
		name, query, body string
		status            int
		rows              int64
	}{
		{"no mark", "", line(0) + "\n", 400, 0},
		{"nothing", "?mark=a", "", 200, 0},
		{"no newline at the end", "?mark=b", line(0) + "\n" + line(2), 200, 2},
		{"lines that are no events", "?mark=c", "x\n" + line(0) + "\n\n{}\n" + line(4)[:40] + "\n" + line(1) + "\n", 200, 2},
		{"more than a block", "?mark=d", strings.Repeat(line(5)+"\n", 20_000), 200, 20_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := hc.Post("http://store"+eventlog.InsertPath+tt.query, "application/stream+json", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if mark, ok := strings.CutPrefix(tt.query, "?mark="); ok {
				if n := counted(t, s.client(), mark, eventlog.Range{}); n != tt.rows {
					t.Errorf("%d rows, want %d", n, tt.rows)
				}
			}
		})
	}
	t.Run("too much", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://store"+eventlog.InsertPath+"?mark=e", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength, req.Body = maxBody+1, http.NoBody
		w := httptest.NewRecorder()
		(&inserter{}).accept(w, req)
		if w.Code != http.StatusBadRequest {
			t.Errorf("status %d", w.Code)
		}
	})
}

// TestFills holds the choice of the row that completes a block against what
// VictoriaLogs does: it puts rows in the order of time, and begins a new block
// where the rows before have blockSize.
func TestFills(t *testing.T) {
	for _, tt := range []struct {
		name           string
		last, lastSize int
		size, at, row  int
		want           bool
	}{
		{"the newest completes it", 10, 800, blockSize - 100, 11, 800, true},
		{"of the same time", 10, 100, blockSize - 100, 10, 900, true},
		{"an older one, the newest is larger", 10, 900, blockSize - 100, 9, 800, true},
		{"an older one, full without the newest", 10, 300, blockSize - 100, 9, 800, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := block{last: int64(tt.last), lastSize: tt.lastSize, size: tt.size}
			if got := b.fills(int64(tt.at), tt.row); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestBlocks hands over blocks of rows that come in a disorder as events do,
// and looks that each is one block of the store: none is merged again.
func TestBlocks(t *testing.T) {
	var lines bytes.Buffer
	ids := event.NewIDs(nil, time.Now)
	began := time.Now().Add(-time.Minute)
	for i := range 12_000 {
		e := strange(ids, "here", 5)
		e.Time = began.Add(time.Duration(i+(i*7919)%500) * time.Millisecond)
		e.CommandLine = strings.Repeat("x", 50+i%2*1200)
		lines.Write(append(e.AppendJSON(nil), '\n'))
	}
	var full, part int
	in := &inserter{store: func(lr *logstorage.LogRows) {
		type row struct {
			at   int64
			size int
		}
		var rows []row
		lr.ForEachRow(func(_ uint64, r *logstorage.InsertRow) {
			rows = append(rows, row{r.Timestamp, logstorage.EstimatedJSONRowLen(r.Fields)})
		})
		slices.SortStableFunc(rows, func(a, b row) int { return int(a.at - b.at) })
		sum := 0
		for i, r := range rows {
			if sum >= blockSize {
				t.Errorf("row %d of %d begins a second block", i, len(rows))
			}
			sum += r.size
		}
		if sum >= blockSize {
			full++
		} else {
			part++
		}
	}}
	for _, half := range [][]byte{lines.Bytes()[:bytes.LastIndexByte(lines.Bytes()[:lines.Len()/2], '\n')+1], lines.Bytes()[bytes.LastIndexByte(lines.Bytes()[:lines.Len()/2], '\n')+1:]} {
		in.add("m", half)
	}
	if full < 5 || part > 0 {
		t.Errorf("%d full blocks, %d others before the flush", full, part)
	}
	in.flush(0)
	if part > 2 {
		t.Errorf("%d others after the flush", part)
	}
}
