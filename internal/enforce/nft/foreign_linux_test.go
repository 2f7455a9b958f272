package nft

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"golang.org/x/sys/unix"
)

func watch(t *testing.T, tab *Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tab.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestForeign lets another program do harm to the table where the kernel does
// not keep it off, and wants all back.
func TestForeign(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{Shared: true})
	watch(t, tab)
	if err := tab.Allow([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err != nil {
		t.Fatal(err)
	}
	mustBlock(t, tab, block(time.Hour, "192.0.2.0/24", "192.0.2.1/32", "2001:db8::/64"))
	mustBlock(t, tab, many(2000, time.Hour))
	listing := func() string {
		out, err := exec.CommandContext(t.Context(), sharedtest.Program(t, "nft"), "-s", "list", "table", "inet", Name).CombinedOutput()
		if err != nil {
			return err.Error()
		}
		var rest []string // elements come in any order
		for l := range strings.Lines(string(out)) {
			if !strings.Contains(l, " timeout ") {
				rest = append(rest, l)
			}
		}
		return strings.Join(rest, "")
	}
	want, all := listing(), standing(t, tab)
	for _, harm := range []string{
		"flush ruleset", "delete table inet lapwing", "flush chain inet lapwing sources", "rename chain inet lapwing sources other",
		"flush set inet lapwing b32", "delete element inet lapwing b64 { 2001:db8:: }", "flush set inet lapwing allow4",
		"add rule inet lapwing input drop", "add element inet lapwing allow4 { 11.0.0.0/8 }", "add element inet lapwing b24 { 198.51.100.0 timeout 1h }",
	} {
		t.Run(harm, func(t *testing.T) {
			repairs := tab.Stats().Repairs
			nft(t, strings.Fields(harm)...)
			took := until(t, "the table is back", func() bool { return tab.Stats().Repairs > repairs && listing() == want })
			t.Logf("back after %s", took)
			if diff := cmp.Diff(all, standing(t, tab)); diff != "" {
				t.Errorf("blocks after %s: %.2000s", harm, diff)
			}
		})
	}
}

// TestHeard changes other tables, and ours by our own hand, which is no reason
// for anything, and then ours by another's.
func TestHeard(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{Shared: true})
	nft(t, "add table inet other")
	nft(t, "add set inet other s { type ipv4_addr; }")
	nft(t, "add element inet other s { 1.2.3.4 }")
	nft(t, "delete table inet other")
	nft(t, "add table ip lapwing")
	nft(t, "add table inet lapwing2")
	mustBlock(t, tab, block(time.Hour, "192.0.2.77/32"))
	nft(t, "add chain inet lapwing another")
	for heard := false; !heard; {
		if err := tab.ears.f.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b, err := tab.ears.receive()
		if err != nil {
			t.Fatal(err)
		}
		replies(b, func(r reply) {
			if !heard && ours(r) {
				heard = true
				if r.kind != subsystem|unix.NFT_MSG_NEWCHAIN {
					t.Errorf("a message of kind %#x counts as a foreign change", r.kind)
				}
			}
		})
	}
}

// TestOwned shows that the kernel keeps others off.
func TestOwned(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{})
	if !tab.Owned() {
		sharedtest.Missing(t, "the kernel has no tables with owner and persist")
	}
	watch(t, tab)
	mustBlock(t, tab, block(time.Hour, "192.0.2.1/32"))
	nft(t, "add table ip other")
	nft(t, "flush", "ruleset")
	if diff := cmp.Diff([]string{"192.0.2.1/32"}, standing(t, tab)); diff != "" {
		t.Errorf("after a foreign flush: %s", diff)
	}
	for _, harm := range []string{"delete table inet lapwing", "flush set inet lapwing b32", "flush chain inet lapwing sources"} {
		if err := exec.CommandContext(t.Context(), sharedtest.Program(t, "nft"), strings.Fields(harm)...).Run(); err == nil {
			t.Errorf("%q is not refused", harm)
		}
	}
	if s := tab.Stats(); s.Repairs != 0 || s.Err != nil {
		t.Errorf("stats %+v", s)
	}
}

// neighbour is a thread in a network namespace of its own, with address
// 198.51.100.2, that reaches us at 198.51.100.1.
type neighbour struct{ do chan func() }

func newNeighbour(t *testing.T) *neighbour {
	t.Helper()
	n := &neighbour{make(chan func())}
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		tid <- unix.Gettid()
		for f := range n.do {
			f()
		}
	}()
	run := func(args string) error {
		out, err := exec.CommandContext(t.Context(), sharedtest.Program(t, "ip"), strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	}
	t.Cleanup(func() { close(n.do) })
	for _, args := range []string{"link set lo up", "link add ours type veth peer name theirs", "link set theirs netns " + strconv.Itoa(<-tid), "addr add 198.51.100.1/24 dev ours", "link set ours up"} {
		if err := run(args); err != nil {
			sharedtest.Missing(t, "no pair of interfaces: "+err.Error())
		}
	}
	n.run(func() {
		for _, args := range []string{"link set lo up", "addr add 198.51.100.2/24 dev theirs", "link set theirs up"} {
			if err := run(args); err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

func (n *neighbour) run(f func()) {
	done := make(chan struct{})
	n.do <- func() { defer close(done); f() }
	<-done
}

// TestPackets sends real ones: an open connection is cut by a block, at once
// and although another table accepts what is established; an address that is
// allowed is not hit by an element for it, nor by one around it.
func TestPackets(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	tab := open(t, Config{})
	nft(t, "add table inet host")
	nft(t, "add chain inet host in { type filter hook input priority 0; policy drop; }")
	nft(t, "add rule inet host in ct state established,related accept")
	nft(t, "add rule inet host in tcp dport 7777 accept")
	nft(t, "add rule inet host in icmp type echo-request accept")
	host := nft(t, "-s", "list", "table", "inet", "host")
	n := newNeighbour(t)
	ln, err := net.Listen("tcp4", "198.51.100.1:7777")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				b := make([]byte, 1)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					c.Write(b)
				}
			}()
		}
	}()
	var c net.Conn
	n.run(func() { c, err = net.DialTimeout("tcp4", "198.51.100.1:7777", 30*time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	// echo says whether the connection carries a byte there and back.
	echo := func(patience time.Duration) bool {
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write([]byte("x")); err != nil {
			return false
		}
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	if !echo(30 * time.Second) {
		t.Fatal("the connection does not work")
	}
	mustBlock(t, tab, block(time.Hour, "198.51.100.2/32"))
	if echo(300 * time.Millisecond) {
		t.Error("an open connection goes on after the block")
	}
	held, err := tab.List()
	if err != nil || len(held) != 1 || held[0].Packets == 0 {
		t.Errorf("the block counted nothing: %+v %v", held, err)
	}
	mustBlock(t, tab, block(time.Hour, "198.51.100.0/24"))
	if err := tab.Allow([]netip.Prefix{netip.MustParsePrefix("198.51.100.2/32")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"198.51.100.0/24"}, standing(t, tab)); diff != "" {
		t.Error(diff)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("an allowed address in a blocked network gets no answer: %v", err)
	}
	if diff := cmp.Diff(host, nft(t, "-s", "list", "table", "inet", "host")); diff != "" {
		t.Errorf("the host's own table changed: %s", diff)
	}
}

// TestMany restores 100,000 blocks.
func TestMany(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds long")
	}
	if !sharedtest.Namespace(t, 0) {
		return
	}
	const n = 100_000
	tab := open(t, Config{})
	end := time.Now().Add(time.Hour)
	began := time.Now()
	mustBlock(t, tab, many(n, time.Until(end)))
	t.Logf("%d blocks set in %s", n, time.Since(began))
	tab.Close()
	began = time.Now()
	tab = open(t, Config{})
	t.Logf("taken over in %s", time.Since(began))
	if s := tab.Stats(); s.Blocks != n {
		t.Fatalf("stats %+v", s)
	}
	began = time.Now()
	mustBlock(t, tab, many(n, time.Until(end)))
	t.Logf("told again in %s", time.Since(began))
	tab.Close()
	nft(t, "delete table inet "+Name) // while nobody owns it
	tab = open(t, Config{})
	began = time.Now()
	mustBlock(t, tab, many(n, time.Hour))
	t.Logf("set anew in %s", time.Since(began))
	held := standing(t, tab)
	for i := 1; i < len(held); i++ {
		if held[i] == held[i-1] {
			t.Errorf("%s stands twice", held[i])
		}
	}
	if len(held) != n {
		t.Errorf("%d blocks stand, want %d", len(held), n)
	}
}

func BenchmarkBlock(b *testing.B) {
	tab, err := Open(Config{})
	if err != nil {
		sharedtest.Missing(b, err.Error())
	}
	defer tab.Close()
	list := many(60_000, time.Hour)
	i := 0
	for b.Loop() {
		tab.Block(list[i%len(list) : i%len(list)+1])
		i++
	}
}
