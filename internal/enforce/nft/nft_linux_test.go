package nft

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func open(t *testing.T, c Config) *Table {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	tab, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Close() })
	return tab
}

// nft runs Debian's program of that name.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sharedtest.Program(t, "nft"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// many are n single addresses.
func many(n int, ttl time.Duration) []Element {
	a := netip.MustParseAddr("11.0.0.0")
	list := make([]Element, n)
	for i := range list {
		list[i] = Element{netip.PrefixFrom(a, 32), ttl}
		a = a.Next()
	}
	return list
}

func block(ttl time.Duration, prefixes ...string) []Element {
	var list []Element
	for _, p := range prefixes {
		list = append(list, Element{netip.MustParsePrefix(p), ttl})
	}
	return list
}

func mustBlock(t *testing.T, tab *Table, list []Element) {
	t.Helper()
	if errs := tab.Block(list); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
}

// standing are the prefixes in the kernel.
func standing(t *testing.T, tab *Table) []string {
	t.Helper()
	held, err := tab.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range held {
		names = append(names, h.Prefix.String())
	}
	slices.Sort(names)
	return names
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

func TestBlock(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{})
	names := []string{"192.0.2.7/32", "192.0.2.0/24", "198.18.0.0/20", "2001:db8:1::/64", "2001:db8::1/128", "2001:db8::/32", "2001:db8:8000::/33", "2001:db8:1:100::/56", "203.0.0.0/16"}
	mustBlock(t, tab, block(time.Hour, names...))
	slices.Sort(names)
	if diff := cmp.Diff(names, standing(t, tab)); diff != "" {
		t.Fatal(diff)
	}
	mustBlock(t, tab, block(10*time.Minute, names...)) // shorter than before: it is what is said last that holds
	held, err := tab.List()
	if err != nil || len(held) != len(names) {
		t.Fatal(len(held), err)
	}
	for _, h := range held {
		if h.TTL > 10*time.Minute {
			t.Errorf("%s: %s left after its time was set to 10 minutes", h.Prefix, h.TTL)
		}
	}
	timeouts(t, len(names))
	if err := tab.Unblock([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.0/32"), netip.MustParsePrefix("203.0.0.0/17")}); err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "192.0.2.0/24" })
	if diff := cmp.Diff(names, standing(t, tab)); diff != "" {
		t.Fatal(diff)
	}
	mustBlock(t, tab, block(20*time.Millisecond, "192.0.2.99/32"))
	until(t, "a block ends", func() bool { return !slices.Contains(standing(t, tab), "192.0.2.99/32") })
	mustBlock(t, tab, block(time.Minute, "192.0.2.99/32")) // it may still be in the kernel's hands
	if !slices.Contains(standing(t, tab), "192.0.2.99/32") {
		t.Error("a block that ended cannot be set again")
	}
}

// timeouts fails where nft shows an element without a timeout, or other than n of
// them. A dump made while the kernel enlarges a set's table lists an element twice:
// it is asked again.
func timeouts(t *testing.T, n int) {
	t.Helper()
	until(t, "nft shows as many elements as there are", func() bool {
		return strings.Count(nft(t, "-j", "list", "table", "inet", Name), `"expires"`) == n
	})
	var listing struct {
		NFTables []struct {
			Set struct {
				Name  string            `json:"name"`
				Flags []string          `json:"flags"`
				Elem  []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(nft(t, "-j", "list", "table", "inet", Name)), &listing); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, o := range listing.NFTables {
		if !slices.Contains(o.Set.Flags, "timeout") {
			continue
		}
		for _, e := range o.Set.Elem {
			seen++
			var el struct {
				Elem struct {
					Timeout, Expires int
				} `json:"elem"`
			}
			if err := json.Unmarshal(e, &el); err != nil || el.Elem.Timeout == 0 {
				t.Errorf("%s: %s has no timeout (%v)", o.Set.Name, e, err)
			}
		}
	}
	if seen != n {
		t.Errorf("nft shows %d elements, want %d: %s", seen, n, nft(t, "list", "table", "inet", Name))
	}
}

func TestRefused(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{})
	if err := tab.Allow([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("11.0.0.0/8"), netip.MustParsePrefix("2001:db8::/64")}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		prefix string
		ttl    time.Duration
		want   error
	}{
		{"10.1.2.3/32", time.Minute, ErrAllowed},
		{"10.1.2.0/24", time.Minute, ErrAllowed},
		{"11.255.255.255/32", time.Minute, ErrAllowed},
		{"2001:db8::7/128", time.Minute, ErrAllowed},
		{"2001:db8::/48", time.Minute, nil}, // the kernel lets the allowed part through
		{"127.0.0.1/32", time.Minute, ErrPrefix},
		{"::1/128", time.Minute, ErrPrefix},
		{"fe80::/64", time.Minute, ErrPrefix},
		{"ff02::1/128", time.Minute, ErrPrefix},
		{"224.0.0.1/32", time.Minute, ErrPrefix},
		{"0.0.0.0/32", time.Minute, ErrPrefix},
		{"255.255.255.255/32", time.Minute, ErrPrefix},
		{"::ffff:192.0.2.1/128", time.Minute, ErrPrefix},
		{"0.0.0.0/0", time.Minute, ErrPrefix},
		{"::/0", time.Minute, ErrPrefix},
		{"128.0.0.0/15", time.Minute, ErrPrefix},
		{"2001:db8::/31", time.Minute, ErrPrefix},
		{"192.0.2.1/24", time.Minute, ErrPrefix}, // not masked
		{"192.0.2.1/32", 0, ErrTTL},
		{"192.0.2.1/32", MaxTTL + 1, ErrTTL},
	}
	for _, tt := range tests {
		t.Run(tt.prefix, func(t *testing.T) {
			errs := tab.Block([]Element{{netip.MustParsePrefix(tt.prefix), tt.ttl}, {netip.MustParsePrefix("198.51.100.1/32"), time.Minute}})
			if tt.want == nil && errs != nil || tt.want != nil && (len(errs) != 2 || !errors.Is(errs[0], tt.want) || errs[1] != nil) {
				t.Errorf("%v, want %v and the other one blocked", errs, tt.want)
			}
		})
	}
	if diff := cmp.Diff([]string{"198.51.100.1/32", "2001:db8::/48"}, standing(t, tab)); diff != "" {
		t.Error(diff)
	}
	if err := tab.Allow([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2001:db8::/48"}, standing(t, tab)); diff != "" {
		t.Errorf("a block whose address is allowed now stands: %s", diff)
	}
	mustBlock(t, tab, block(time.Minute, "10.1.2.3/32")) // not allowed any more
}

func TestFull(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	const most = 700
	tab := open(t, Config{Max: most})
	list := many(most+50, time.Hour)
	errs := tab.Block(list)
	refused := 0
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if err != nil {
			refused++
		}
	}
	if refused != 50 || len(standing(t, tab)) != most {
		t.Fatalf("%d refused, %d stand", refused, len(standing(t, tab)))
	}
	if errs := tab.Block(list[:1]); errs != nil {
		t.Errorf("a block that stands is refused by a full set: %v", errs)
	}
	mustBlock(t, tab, block(time.Hour, "192.0.2.0/24")) // other sets go on
	gone := netip.PrefixFrom(list[3].Prefix.Addr(), 32)
	if err := tab.Unblock([]netip.Prefix{gone, netip.MustParsePrefix("192.0.2.9/32")}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(standing(t, tab), gone.String()) {
		t.Error("a full set does not let go")
	}
	mustBlock(t, tab, list[most:most+1])
	if s := tab.Stats(); s.Refused != 50 || s.Blocks != most+1 || s.Err != nil {
		t.Errorf("stats %+v", s)
	}
	tab.layout.max = 2 * most // more than the kernel's set holds, which says so
	refused = 0
	for _, err := range tab.Block(many(2*most, time.Hour)) {
		if errors.Is(err, ErrFull) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if room := most + most/4; refused != 2*most-room || len(standing(t, tab)) != room+1 || tab.Stats().Err != nil {
		t.Errorf("with a full set in the kernel %d are refused, %d stand: %v", refused, len(standing(t, tab)), tab.Stats().Err)
	}
	tab.layout.max = most
	if err := tab.Panic(); err != nil {
		t.Fatal(err)
	}
	mustBlock(t, tab, many(most, 30*time.Millisecond))
	until(t, "room again", func() bool { return tab.Block(many(most, time.Hour)) == nil })
	if n := len(standing(t, tab)); n != most {
		t.Errorf("%d stand, want %d", n, most)
	}
}

func TestLengths(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{})
	var full int
	for bits := 33; bits <= 128; bits++ {
		errs := tab.Block([]Element{{netip.PrefixFrom(netip.MustParseAddr("2001:db8::"), bits), time.Hour}})
		if errs != nil && !errors.Is(errs[0], ErrFull) {
			t.Fatal(bits, errs)
		}
		if errs != nil {
			full++
		}
	}
	if want := 96 - 4 - (maxLengths - 6); full != want {
		t.Errorf("%d lengths are refused, want %d", full, want)
	}
	mustBlock(t, tab, block(time.Hour, "192.0.2.1/32"))
}

func TestTakeOver(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			if !sharedtest.Namespace(t, 0) {
				return
			}
			tab := open(t, Config{Shared: shared})
			if tab.Owned() == shared {
				sharedtest.Missing(t, "the kernel has no tables with owner and persist")
			}
			if !shared {
				if _, err := Open(Config{}); !errors.Is(err, ErrOwned) {
					t.Errorf("a second process takes the table: %v", err)
				}
			}
			names := []string{"192.0.2.0/24", "192.0.2.1/32", "198.18.0.0/20", "2001:db8::/64"}
			mustBlock(t, tab, block(time.Hour, names...))
			before := nft(t, "-s", "list", "table", "inet", Name)
			if err := tab.Close(); err != nil {
				t.Fatal(err)
			}
			next := open(t, Config{Shared: shared})
			if diff := cmp.Diff(names, standing(t, next)); diff != "" {
				t.Errorf("after the take-over: %s", diff)
			}
			if diff := cmp.Diff(before, nft(t, "-s", "list", "table", "inet", Name)); diff != "" {
				t.Errorf("the table after the take-over: %s", diff)
			}
			if s := next.Stats(); s.Blocks != len(names) {
				t.Errorf("stats %+v", s)
			}
			next.Close()
			other := open(t, Config{Shared: !shared, Max: 5000})
			if diff := cmp.Diff(names, standing(t, other)); diff != "" {
				t.Errorf("after a take-over with other flags and sizes: %s", diff)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	nft(t, "add table ip other")
	nft(t, "add chain ip other c { type filter hook input priority 0; }")
	before := nft(t, "list", "ruleset")
	tab := open(t, Config{})
	mustBlock(t, tab, block(time.Hour, "192.0.2.0/24"))
	if err := tab.Panic(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, nft(t, "list", "ruleset")); diff != "" {
		t.Errorf("what is left: %s", diff)
	}
	if err := tab.Panic(); err != nil {
		t.Errorf("twice: %v", err)
	}
	if held, err := tab.List(); err != nil || len(held) != 0 {
		t.Error(held, err)
	}
	mustBlock(t, tab, block(time.Hour, "192.0.2.1/32"))
	if diff := cmp.Diff([]string{"192.0.2.1/32"}, standing(t, tab)); diff != "" {
		t.Error(diff)
	}
}
