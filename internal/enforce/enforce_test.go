package enforce

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// memory is a Firewall that holds blocks in mind, with nft's own checks.
type memory struct {
	mu    sync.Mutex
	held  map[netip.Prefix]time.Duration
	allow []netip.Prefix
	max   int
	err   error
	calls int
}

func (m *memory) Block(list []nft.Element) []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = nft.Check(e.Prefix)
		switch {
		case errs[i] != nil:
		case e.TTL <= 0 || e.TTL > nft.MaxTTL:
			errs[i] = nft.ErrTTL
		case slices.ContainsFunc(m.allow, func(p netip.Prefix) bool { return p.Overlaps(e.Prefix) }):
			errs[i] = nft.ErrAllowed
		case len(m.held) >= m.max:
			errs[i] = nft.ErrFull
		case m.err != nil:
			errs[i] = m.err
		default:
			m.held[e.Prefix] = e.TTL
		}
	}
	return errs
}

func (m *memory) Unblock(list []netip.Prefix) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	for _, p := range list {
		delete(m.held, p)
	}
	return m.err
}

func (m *memory) Allow(list []netip.Prefix) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.allow = list
	return m.err
}

func (m *memory) List() ([]nft.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []nft.Held
	for p, ttl := range m.held {
		list = append(list, nft.Held{Element: nft.Element{Prefix: p, TTL: ttl}, Packets: 7})
	}
	return list, m.err
}

func (m *memory) Panic() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.held)
	return m.err
}

func (m *memory) Stats() nft.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return nft.Stats{Blocks: len(m.held), Owned: true, Repairs: 2, Refused: 3, Err: m.err}
}

func newMemory() *memory { return &memory{held: map[netip.Prefix]time.Duration{}, max: 1 << 20} }

// serve answers on a new socket until the test ends or stop is called.
func serve(t *testing.T, path string, c ServerConfig) (stop func()) {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, c) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func newTestClient(t *testing.T, path string) *Client {
	t.Helper()
	c := NewClient(ClientConfig{Now: time.Now, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}})
	t.Cleanup(func() { c.Close() })
	return c
}

func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func blockAction(p string, ttl time.Duration) action.Action {
	return action.Action{ID: "id of " + p, Kind: action.Block, Prefix: netip.MustParsePrefix(p), Until: time.Now().Add(ttl)}
}

func TestClient(t *testing.T) {
	path, m := socket(t), newMemory()
	ctx := t.Context()
	c := newTestClient(t, path)
	one := blockAction("192.0.2.7/32", time.Hour)
	if err := c.Apply(ctx, []action.Action{one}); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("without a process: %v", err)
	}
	if err := c.Allow(ctx, action.AllowList{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("without a process: %v", err)
	}
	stop := serve(t, path, ServerConfig{Firewall: m, UIDs: []int{os.Getuid()}})
	err := c.Apply(ctx, []action.Action{
		one, blockAction("10.1.1.1/32", time.Hour), blockAction("127.0.0.1/32", time.Hour), blockAction("2001:db8::/64", time.Hour),
		blockAction("::ffff:198.51.100.0/120", time.Hour), blockAction("203.0.113.1/32", -time.Hour),
		{Kind: action.Quarantine, File: "/x"},
		{Kind: action.Block, Until: time.Now().Add(time.Hour)},
	})
	want := map[string]error{
		"10.1.1.1/32": action.ErrAllowed, "127.0.0.1/32": action.ErrUnsupported, "/x": action.ErrUnsupported, "": action.ErrUnsupported,
	}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var one *action.Error
		if !errors.As(e, &one) {
			t.Fatalf("%v is no *action.Error", e)
		}
		key := one.Action.File
		if one.Action.Prefix.IsValid() {
			key = one.Action.Prefix.String()
		}
		if !errors.Is(e, want[key]) || want[key] == nil {
			t.Errorf("%s: %v", key, e)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("no error for %v", want)
	}
	list, err := c.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Action.Prefix.String())
		if left := time.Until(s.Expires); s.Packets != 7 || left > time.Hour || left < 30*time.Minute {
			t.Errorf("%+v", s)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"192.0.2.7/32", "198.51.100.0/24", "2001:db8::/64"}, names); diff != "" {
		t.Error(diff)
	}
	if h, err := c.Stats(ctx); err != nil || h.Blocks != 3 || !h.Owned || h.Repairs != 2 || h.Refused != 3 || c.Health(ctx) != nil {
		t.Errorf("%+v %v", h, err)
	}
	if err := c.Revert(ctx, []action.Action{one, blockAction("192.0.2.99/32", 0)}); err != nil {
		t.Error(err)
	}
	if list, err := c.List(ctx); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	restart(t, c, path, stop)
}

// restart lets the process end and another one begin under the client.
func restart(t *testing.T, c *Client, path string, stop func()) {
	t.Helper()
	stop()
	ctx := t.Context()
	if err := c.Health(ctx); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("after the end of the process: %v", err)
	}
	m := newMemory()
	serve(t, path, ServerConfig{Firewall: m, UIDs: []int{os.Getuid()}})
	if err := c.Apply(ctx, []action.Action{blockAction("10.1.1.1/32", time.Hour)}); !errors.Is(err, action.ErrAllowed) {
		t.Errorf("a new process does not know the allow list: %v", err)
	}
	m.mu.Lock()
	m.err = errors.New("the kernel is cross")
	m.mu.Unlock()
	for name, err := range map[string]error{
		"health": c.Health(ctx), "apply": c.Apply(ctx, []action.Action{blockAction("192.0.2.1/32", time.Hour)}),
		"revert": c.Revert(ctx, []action.Action{blockAction("192.0.2.1/32", time.Hour)}), "panic": c.Panic(ctx),
	} {
		if !errors.Is(err, action.ErrDegraded) || !bytes.Contains([]byte(err.Error()), []byte("the kernel is cross")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.mu.Lock()
	m.err, m.max = nil, 1
	m.mu.Unlock()
	err := c.Apply(ctx, []action.Action{blockAction("192.0.2.1/32", time.Hour), blockAction("192.0.2.2/32", time.Hour)})
	var one *action.Error
	if !errors.As(err, &one) || !errors.Is(err, action.ErrFull) || one.Action.ID != "id of 192.0.2.2/32" {
		t.Errorf("a full set: %v", err)
	}
	if err := c.Panic(ctx); err != nil {
		t.Error(err)
	}
}

func TestMany(t *testing.T) {
	path, m := socket(t), newMemory()
	serve(t, path, ServerConfig{Firewall: m, UIDs: []int{os.Getuid()}})
	c := newTestClient(t, path)
	var list []action.Action
	a := netip.MustParseAddr("11.0.0.0")
	for range 3*perAnswer + 5 {
		list = append(list, action.Action{Kind: action.Block, Prefix: netip.PrefixFrom(a, 32), Until: time.Now().Add(time.Hour)})
		a = a.Next()
	}
	if err := c.Apply(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	got, err := c.List(t.Context())
	if err != nil || len(got) != len(list) {
		t.Errorf("%d of %d stand: %v", len(got), len(list), err)
	}
	if err := c.Revert(t.Context(), list); err != nil || m.Stats().Blocks != 0 {
		t.Errorf("%d stand after all were taken back: %v", m.Stats().Blocks, err)
	}
}

// TestPeer lets only the users named ask.
func TestPeer(t *testing.T) {
	path, m := socket(t), newMemory()
	serve(t, path, ServerConfig{Firewall: m, UIDs: []int{os.Getuid() + 1}})
	c := newTestClient(t, path)
	if err := c.Apply(t.Context(), []action.Action{blockAction("192.0.2.1/32", time.Hour)}); !errors.Is(err, action.ErrDegraded) {
		t.Error(err)
	}
	if m.calls != 0 {
		t.Error("another user's request was done")
	}
}

// TestSlowAsker holds a frame back, and a deadline ends a request that nobody answers.
func TestSlowAsker(t *testing.T) {
	path := socket(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := newTestClient(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Health(ctx); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("a process that does not greet: %v", err)
	}
	ctx, cancel2 := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel2)
	if _, err := c.List(ctx); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("a call that was given up: %v", err)
	}
}

func TestPlan(t *testing.T) {
	c := NewClient(ClientConfig{Now: time.Now})
	p, err := c.Plan(t.Context(), blockAction("2001:db8::/64", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := action.Plan{
		Text:  []string{"nft add element inet lapwing b64 { 2001:db8:: timeout 1h0m0s }"},
		Undo:  []string{"nft delete element inet lapwing b64 { 2001:db8:: }"},
		Risky: "it drops what 2001:db8::/64 sends, not one address alone",
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Plan(t.Context(), blockAction("0.0.0.0/0", time.Hour)); !errors.Is(err, action.ErrUnsupported) {
		t.Error(err)
	}
}

// FuzzServer sends any bytes: whatever they are, it comes to an end, and what
// stands then may stand, and ends.
func FuzzServer(f *testing.F) {
	var valid bytes.Buffer
	for _, fr := range []frame{
		{word: wordAllow, body: appendPrefix(nil, netip.MustParsePrefix("10.0.0.0/8"))},
		{word: wordBlock, id: 7, body: appendBlock(appendBlock(nil, nft.Element{Prefix: netip.MustParsePrefix("192.0.2.0/24"), TTL: time.Hour}), nft.Element{Prefix: netip.MustParsePrefix("10.2.0.0/16"), TTL: time.Hour})},
		{word: wordList},
		{word: wordHealth},
		{word: wordUnblock, body: appendPrefix(nil, netip.MustParsePrefix("2001:db8::/64"))},
		{word: wordPanic},
	} {
		if err := fr.write(&valid); err != nil {
			f.Fatal(err)
		}
		f.Add(valid.Bytes())
	}
	f.Add([]byte{0, 0, 0, 9, 1, 1, 0, 0, 0, 0, 0, 1, 5})
	f.Add(binary.BigEndian.AppendUint32(nil, maxFrame))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMemory()
		s := &server{c: ServerConfig{Firewall: m, Log: slog.New(slog.DiscardHandler)}}
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer ours.Close()
			for {
				fr, err := readFrame(ours, func() error { return nil })
				if err != nil || !s.answer(ours, fr) {
					return
				}
			}
		}()
		go io.Copy(io.Discard, theirs)
		theirs.Write(b)
		theirs.Close()
		<-done
		for p, ttl := range m.held {
			if nft.Check(p) != nil || ttl <= 0 || ttl > nft.MaxTTL {
				t.Errorf("%s stands for %s", p, ttl)
			}
		}
	})
}

// FuzzAnswers gives the client any bytes as answers: an error or an answer.
func FuzzAnswers(f *testing.F) {
	var b bytes.Buffer
	for _, fr := range []frame{
		{word: wordHello | answer, body: Health{Instance: 5}.append(nil)},
		{word: wordList | answer, status: statusMore, body: appendHeld(nil, nft.Held{Element: nft.Element{Prefix: netip.MustParsePrefix("192.0.2.0/24"), TTL: time.Hour}, Packets: 9})},
		{word: wordList | answer},
	} {
		if err := fr.write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewClient(ClientConfig{Now: time.Now, Dial: func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			go func() { theirs.Write(b); theirs.Close() }()
			return ours, nil
		}})
		defer c.Close()
		list, err := c.List(t.Context())
		for _, s := range list {
			if err == nil && (!s.Action.Prefix.IsValid() || s.Expires.IsZero()) {
				t.Errorf("%+v", s)
			}
		}
		c.Apply(t.Context(), []action.Action{blockAction("192.0.2.1/32", time.Hour)})
		c.Stats(t.Context())
	})
}
