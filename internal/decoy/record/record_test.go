package record

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

type memory struct {
	mu     sync.Mutex
	events []event.Event
	cast   string
}

func (m *memory) Emit(_ context.Context, e event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	return nil
}

// Post keeps the order, as the uplink does.
func (m *memory) Post(ctx context.Context, e event.Event, done func(error)) { done(m.Emit(ctx, e)) }

func (m *memory) Capture(_ context.Context, r io.Reader, limit int64) (string, int64, error) {
	n, err := io.Copy(io.Discard, io.LimitReader(r, limit))
	return "sum", n, err
}

func (m *memory) Cast(_ context.Context, _ string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cast += string(data)
	return nil
}

var fake = sync.OnceValue(func() *host.Host {
	p, err := persona.Generate("debian-server", 1, t0)
	if err != nil {
		panic(err)
	}
	return host.New(host.Config{Name: "h", Persona: p, Clock: clock.NewManual(t0)})
})

func session(tb testing.TB) (*Session, *memory) {
	tb.Helper()
	m := &memory{}
	clk := clock.NewManual(t0)
	return New(tb.Context(), &decoy.Session{Host: fake(), Clock: clk, IDs: event.NewIDs(nil, clk.Now), Rec: m}, "root", "shell"), m
}

func TestEventsOfASessionAreBounded(t *testing.T) {
	r, m := session(t)
	for range maxEvents + 500 {
		r.Note(t.Context(), "x", "y")
	}
	r.Close(nil, "")
	last := m.events[len(m.events)-1]
	suppressed := ""
	for _, f := range last.Extra {
		if f.Name == "lapwing.session.suppressed" {
			suppressed = f.Value.Text()
		}
	}
	if len(m.events) != maxEvents+1 || last.Action != event.ActionSessionEnded || suppressed != "501" {
		t.Errorf("%d events, the last %s, %s are suppressed", len(m.events), last.Action, suppressed)
	}
	if e := m.events[maxEvents-1]; e.Action != event.ActionLimitReached {
		t.Errorf("at the limit: %s", e.Action)
	}
}

func TestANoteIsNoLimit(t *testing.T) {
	r, m := session(t)
	r.Note(t.Context(), "job-planned", "* * * * * true")
	e := m.events[len(m.events)-1]
	if e.Action != event.ActionProgramNoted || e.Category != "process" || e.Type != "info" || e.Depth != event.DepthAct || e.Reason != "job-planned: * * * * * true" {
		t.Errorf("%s, %s, %s, %v: %q", e.Action, e.Category, e.Type, e.Depth, e.Reason)
	}
}

func TestHiddenInputIsNotRecorded(t *testing.T) {
	r, m := session(t)
	r.Header(24, 80, "xterm")
	r.Input([]byte("ls\r"), false)
	r.Input([]byte("s3cret\r"), true)
	r.Close(nil, "")
	if strings.Contains(m.cast, "s3cret") || !strings.Contains(m.cast, `"i", "ls\r"`) || !strings.Contains(m.cast, `"i", "*******"`) {
		t.Errorf("recorded %s", m.cast)
	}
}

// FuzzOutput: whatever a terminal shows, in whatever pieces, the recording is
// lines of JSON whose text is what was shown, as far as it is UTF-8.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("plain \x1b[2J\x00\"\\ \xe2\x82\xac \xf0\x9f\x90\xa6 \xff"), byte(3))
	f.Add([]byte("\xe2\x82\xac"), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, piece byte) {
		r, m := session(t)
		r.Header(24, 80, string(data[:min(len(data), 20)]))
		for rest := data; len(rest) > 0; {
			n := min(int(piece%7)+1, len(rest))
			r.Output(rest[:n])
			rest = rest[n:]
		}
		r.Close(nil, "")
		text := ""
		for i, line := range strings.Split(strings.TrimSuffix(m.cast, "\n"), "\n") {
			if i == 0 {
				var head map[string]any
				if err := json.Unmarshal([]byte(line), &head); err != nil || head["version"] != 2.0 {
					t.Fatalf("head %q: %v", line, err)
				}
				continue
			}
			var ev [3]any
			if err := json.Unmarshal([]byte(line), &ev); err != nil || ev[1] != "o" {
				t.Fatalf("%q: %v", line, err)
			}
			text += ev[2].(string)
		}
		clean := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\ufffd", "") }
		if want, got := clean(string(data)), clean(text); len(got) > len(want) || !strings.HasPrefix(want, got) && !strings.Contains(string(data), "\ufffd") && strings.ToValidUTF8(string(data), "") == string(data) {
			t.Fatalf("shown %q, recorded %q", want, got)
		}
	})
}
