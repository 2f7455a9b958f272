// Package decoytest is the suite that every decoy must pass: whatever a
// visitor sends or leaves out, the decoy ends with him, tells who he was and
// when he came and went, and keeps nothing of him in memory.
package decoytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Target is a decoy under test.
type Target struct {
	Name    string // type of the decoy in the config
	Persona string // template of the host it stands on
	LogType int    // OpenCanary's number of a connection
	New     func(t testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy
}

// Options of a Bench. Zero values take what an installation has.
type Options struct {
	Clock  clock.Clock
	Policy access.Policy
	Limits decoy.Limits
	Kernel kernel.Limits
}

// Bench is one running decoy with its host.
type Bench struct {
	Addr    string
	Rec     *Recorder
	Persona *persona.Persona
	Stop    func() // ends the decoy and waits for it; called at the end of the test too
}

// Start serves the target on a port of loopback.
func (x Target) Start(tb testing.TB, o Options) *Bench {
	tb.Helper()
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Policy.Accept == nil && !o.Policy.None {
		o.Policy.Accept = []access.Credential{{User: "root", Password: "admin"}}
	}
	p, err := persona.Generate(x.Persona, 11, o.Clock.Now())
	if err != nil {
		tb.Fatal(err)
	}
	h := host.New(host.Config{Name: "fake", Persona: p, Programs: programs.All(), Clock: o.Clock, Net: netcmd.World{Downloads: "serve"}, Limits: o.Kernel})
	rec := &Recorder{}
	d := x.New(tb, p, access.New(o.Policy, kernel.NewRand(1, 2), o.Clock.Now))
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() {
		done <- decoy.Serve(ctx, ln, decoy.ServerConfig{
			Name: x.Name, Proto: x.Name, LogType: x.LogType, Host: h, Decoy: d, Gate: decoy.NewGate(o.Limits), Clock: o.Clock,
			IDs: event.NewIDs(nil, o.Clock.Now), Rec: rec, Log: slog.New(slog.NewTextHandler(testWriter{tb}, nil)),
		}, 100*time.Millisecond)
	}()
	var once sync.Once
	b := &Bench{Addr: ln.Addr().String(), Rec: rec, Persona: p}
	b.Stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				tb.Error(err)
			}
		})
	}
	tb.Cleanup(b.Stop)
	return b
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "panic=") {
		w.t.Error(string(b))
	}
	return len(b), nil
}

// Dial connects to the decoy; reads and writes fail after a while.
func (b *Bench) Dial(tb testing.TB) net.Conn {
	tb.Helper()
	var d net.Dialer
	c, err := d.DialContext(tb.Context(), "tcp", b.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })                //nolint:errcheck // may be closed
	c.SetDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // a test that hangs fails
	return c
}

// Wait returns once n events with that action were recorded.
func (b *Bench) Wait(tb testing.TB, action string, n int) []event.Event {
	tb.Helper()
	for range 3000 {
		if got := b.Rec.Events(action); len(got) >= n {
			return got
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // a test waits for another goroutine
	}
	tb.Fatalf("%d of %d events %q came", len(b.Rec.Events(action)), n, action)
	return nil
}

// Run is the suite.
func Run(t *testing.T, x Target) {
	t.Helper()
	t.Run("ComesAndGoes", x.comesAndGoes)
	t.Run("Junk", x.junk)
	t.Run("Silent", x.silent)
	t.Run("DoesNotRead", x.doesNotRead)
	t.Run("ManyAtOnce", x.manyAtOnce)
	t.Run("OverTheLimit", x.overTheLimit)
}

func (x Target) comesAndGoes(t *testing.T) {
	b := x.Start(t, Options{})
	c := b.Dial(t)
	b.Wait(t, event.ActionConnectionOpened, 1)
	c.Close() //nolint:errcheck // the visitor leaves
	closed := b.Wait(t, event.ActionConnectionClosed, 1)[0]
	b.Stop()
	all := b.Rec.Events("")
	first := all[0]
	if first.Action != event.ActionConnectionOpened || all[len(all)-1].ID != closed.ID {
		t.Errorf("first %s, last %s", first.Action, all[len(all)-1].Action)
	}
	if first.LogType != x.LogType || first.Depth != event.DepthTouch {
		t.Errorf("a connection has logtype %d and depth %v", first.LogType, first.Depth)
	}
	seen := map[string]bool{}
	for _, e := range all {
		if e.Connection == "" || e.Connection != first.Connection || seen[e.ID] || e.Host != "fake" || e.Persona != x.Persona ||
			e.Decoy != x.Name || !e.Source.IsValid() || !e.Destination.IsValid() || e.Transport != "tcp" || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
		seen[e.ID] = true
	}
}

// inputs are what no client of any protocol sends.
func inputs() map[string][]byte {
	r := rand.New(rand.NewPCG(4, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return map[string][]byte{
		"noise": noise, "zeros": make([]byte, 300<<10), "ones": bytes.Repeat([]byte{0xff}, 1<<20), "one line": bytes.Repeat([]byte("A"), 2<<20),
		"lines": bytes.Repeat([]byte("\n"), 100_000), "crlf": bytes.Repeat([]byte("x\r\n"), 20_000), "http": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"tls": {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, "nothing": nil, "half a word": []byte("SS"),
	}
}

func (x Target) junk(t *testing.T) {
	b := x.Start(t, Options{})
	before := runtime.NumGoroutine()
	n := 0
	for name, data := range inputs() {
		c := b.Dial(t)
		go io.Copy(io.Discard, c)                           //nolint:errcheck // until it is closed
		c.SetWriteDeadline(time.Now().Add(2 * time.Second)) //nolint:errcheck // a decoy may stop reading
		_, err := c.Write(data)
		var ne net.Error
		if err != nil && errors.As(err, &ne) && ne.Timeout() {
			t.Logf("%s: the decoy stopped reading", name)
		}
		c.Close() //nolint:errcheck // the visitor leaves
		n++
		b.Wait(t, event.ActionConnectionClosed, n)
	}
	for _, e := range b.Rec.Events(event.ActionConnectionClosed) {
		if strings.Contains(e.Reason, "internal error") {
			t.Errorf("the decoy failed: %s", e.Reason)
		}
	}
	if got := len(b.Rec.Events(event.ActionConnectionOpened)); got != n {
		t.Errorf("%d of %d connections were told", got, n)
	}
	settle(t, before)
}

// settle waits until no more goroutines run than before, and looks at the heap.
func settle(t *testing.T, before int) {
	t.Helper()
	for range 300 {
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // a test waits for other goroutines
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines before, %d after the visitors left", before, now)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 128<<20 {
		t.Errorf("%d MiB on the heap after the visitors left", m.HeapAlloc>>20)
	}
}

func (x Target) silent(t *testing.T) {
	b := x.Start(t, Options{})
	b.Dial(t)
	b.Wait(t, event.ActionConnectionOpened, 1)
	b.Stop() // must not wait for a visitor who says nothing
	if got := b.Rec.Events(event.ActionConnectionClosed); len(got) != 1 {
		t.Errorf("%d connections were told to be closed", len(got))
	}
}

func (x Target) doesNotRead(t *testing.T) {
	b := x.Start(t, Options{})
	c := b.Dial(t)
	c.SetWriteDeadline(time.Now().Add(time.Second))           //nolint:errcheck // he stops when nobody reads
	c.Write(bytes.Repeat([]byte("root\r\nroot\r\n"), 20_000)) //nolint:errcheck // as above
	c.Close()                                                 //nolint:errcheck // the visitor leaves
	b.Wait(t, event.ActionConnectionClosed, 1)
}

func (x Target) manyAtOnce(t *testing.T) {
	b := x.Start(t, Options{Limits: decoy.Limits{PerSource: 100}})
	var wg sync.WaitGroup
	for range 40 {
		c := b.Dial(t)
		wg.Go(func() {
			c.Write([]byte("hello\r\n")) //nolint:errcheck // may be closed already
			c.Close()                    //nolint:errcheck // the visitor leaves
		})
	}
	wg.Wait()
	b.Wait(t, event.ActionConnectionClosed, 40)
	ids := map[string]int{}
	for _, e := range b.Rec.Events("") {
		ids[e.Connection]++
	}
	if len(ids) != 40 {
		t.Errorf("%d connections", len(ids))
	}
}

func (x Target) overTheLimit(t *testing.T) {
	b := x.Start(t, Options{Limits: decoy.Limits{PerSource: 1}})
	b.Dial(t)
	b.Wait(t, event.ActionConnectionOpened, 1)
	c := b.Dial(t)
	if e := b.Wait(t, event.ActionConnectionRefused, 1)[0]; !strings.Contains(e.Reason, "per source") {
		t.Errorf("refused because of %q", e.Reason)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a refused visitor reads %d bytes, %v", n, err)
	}
}
