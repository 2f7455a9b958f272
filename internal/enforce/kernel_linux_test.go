package enforce

import (
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// kernel is a client, a process's server and the kernel's table behind it.
func kernel(t *testing.T, path string) *Client {
	t.Helper()
	table, err := nft.Open(nft.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	serve(t, path, ServerConfig{Firewall: table, UIDs: []int{os.Getuid()}})
	return newTestClient(t, path)
}

// TestLatency measures from Apply to the element in the kernel, one at a time.
func TestLatency(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	c := kernel(t, socket(t))
	const n = 2000
	took := make([]time.Duration, 0, n)
	a := netip.MustParseAddr("11.0.0.0")
	for range n {
		began := time.Now()
		err := c.Apply(t.Context(), []action.Action{{Kind: action.Block, Prefix: netip.PrefixFrom(a, 32), Until: began.Add(time.Hour)}})
		took = append(took, time.Since(began))
		if err != nil {
			t.Fatal(err)
		}
		a = a.Next()
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != n {
		t.Fatalf("%d of %d stand: %v", len(list), n, err)
	}
	slices.Sort(took)
	t.Logf("Apply to kernel: median %s, p99 %s, longest %s", took[n/2], took[n*99/100], took[n-1])
}

// TestAnyBytes sends the socket what it should not be sent, and wants every
// other table as it was, and ours with nothing in it that may not be.
func TestAnyBytes(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), sharedtest.Program(t, "nft"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %s: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("add table inet host")
	run("add chain inet host in { type filter hook input priority 0; policy drop; }")
	run("add set inet host b32 { type ipv4_addr; elements = { 192.0.2.1 } }")
	before := run("list", "ruleset")
	path := socket(t)
	c := kernel(t, path)
	seconds := 1
	if os.Getenv("LAPWING_SOAK") != "" {
		seconds = 60
	}
	sent, refused := hammer(t, path, time.Duration(seconds)*time.Second)
	t.Logf("%d connections with %d refused requests", sent, refused)
	if sent == 0 || refused == 0 {
		t.Error("nothing was tried")
	}
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if nft.Check(s.Action.Prefix) != nil || s.Expires.IsZero() {
			t.Errorf("%+v stands", s)
		}
	}
	if err := c.Panic(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, run("list", "ruleset")); diff != "" {
		t.Errorf("other tables changed: %s", diff)
	}
}

// TestNoBypass asks over the socket for what may never be.
func TestNoBypass(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	c := kernel(t, socket(t))
	if err := c.Allow(t.Context(), action.AllowList{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Why: "office"}}); err != nil {
		t.Fatal(err)
	}
	var list []action.Action
	for p := range strings.FieldsSeq("198.51.100.7/32 198.51.100.0/25 127.0.0.1/32 ::1/128 0.0.0.0/0 ::/0 fe80::1/128 224.0.0.1/32 192.0.0.0/8") {
		list = append(list, blockAction(p, time.Hour))
	}
	err := c.Apply(t.Context(), list)
	errs, ok := err.(interface{ Unwrap() []error })
	if !ok || len(errs.Unwrap()) != len(list) {
		t.Errorf("not every block was refused: %v", err)
	}
	if got, err := c.List(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%v stands: %v", got, err)
	}
}
