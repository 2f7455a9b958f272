package vnet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is the memory that this process holds, in MiB.
func rss(b *testing.B) float64 {
	b.Helper()
	debug.FreeOSMemory()
	f := strings.Fields(string(get(os.ReadFile("/proc/self/statm"))))
	return float64(get(strconv.Atoi(f[1]))) * float64(os.Getpagesize()) / (1 << 20)
}

// fill makes count hosts with listeners on the ports; each counts what it accepts.
func fill(b *testing.B, n *vnet.Network, count int, dual bool, ports ...uint16) []*vnet.Host {
	b.Helper()
	cfg := vnet.SegmentConfig{Name: "a", Prefixes: []netip.Prefix{prefix("10.0.0.0/16")}}
	if dual {
		cfg.Prefixes = append(cfg.Prefixes, prefix("fd00::/64"))
	}
	s := get(n.AddSegment(cfg))
	a, a6 := addr("10.0.0.10"), addr("fd00::10")
	var hosts []*vnet.Host
	for i := range count {
		hc := vnet.HostConfig{Name: "h" + strconv.Itoa(i), Addrs: []netip.Addr{a}}
		if dual {
			hc.Addrs = append(hc.Addrs, a6)
		}
		h := get(s.AddHost(hc))
		for _, p := range ports {
			l := get(h.Listen(b.Context(), p))
			if len(ports) > 1 {
				go smallEcho(l)
			}
		}
		hosts = append(hosts, h)
		a, a6 = a.Next(), a6.Next()
	}
	return hosts
}

// smallEcho is echo without a large buffer for each connection.
func smallEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 64))
		}()
	}
}

// talkAll lets every host have one conversation with the next one.
func talkAll(b *testing.B, hosts []*vnet.Host) {
	b.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				c, err := hosts[i].Dialer().DialContext(b.Context(), "tcp", fmt.Sprintf("h%d:22", (i+1)%len(hosts)))
				if err != nil {
					b.Error(err)
					continue
				}
				_, _ = c.Write([]byte("hi"))
				_, _ = io.ReadFull(c, make([]byte, 2))
				c.Close()
			}
		})
	}
	for i := range hosts {
		next <- i
	}
	close(next)
	wg.Wait()
}

// BenchmarkHosts is the start of a network: lean hosts with a listener before
// traffic, hosts whose stacks are made, and dual stack with three services
// before and after every host has talked.
func BenchmarkHosts(b *testing.B) {
	for _, count := range []int{1000, 10_000} {
		for _, kind := range []string{"lean", "stacks", "dual-3-services"} {
			b.Run(fmt.Sprintf("%s/%d", kind, count), func(b *testing.B) {
				for b.Loop() {
					began, used := time.Now(), cpu()
					n := get(vnet.New(vnet.Config{Seed: 1}))
					var hosts []*vnet.Host
					if kind == "dual-3-services" {
						hosts = fill(b, n, count, true, 22, 80, 443)
					} else {
						hosts = fill(b, n, count, false, 22)
					}
					if kind == "stacks" {
						ctx, cancel := context.WithCancel(b.Context())
						for _, h := range hosts { // a socket on an unused port makes the stack
							c := get(h.Dialer().DialContext(ctx, "udp", "10.0.0.1:9"))
							c.Close()
						}
						cancel()
					}
					b.ReportMetric(time.Since(began).Seconds(), "s/start")
					b.ReportMetric((cpu() - used).Seconds(), "cpu-s/start")
					b.ReportMetric(rss(b), "MiB")
					if kind == "dual-3-services" {
						talkAll(b, hosts)
						b.ReportMetric(rss(b), "MiB-after-talk")
					}
					if got := n.Stats(); kind == "stacks" && got.Stacks != count {
						b.Fatalf("%d stacks", got.Stacks)
					}
					if err := n.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkNamespaces is the same with Linux network namespaces, joined by a
// bridge, for comparison.
func BenchmarkNamespaces(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("root is needed to make network namespaces")
	}
	const count = 200
	for b.Loop() {
		var s strings.Builder
		s.WriteString("ip link add br0 type bridge\nip link set br0 up\n")
		for i := range count {
			fmt.Fprintf(&s, "ip netns add lw%[1]d\nip link add v%[1]d type veth peer name eth0 netns lw%[1]d\nip link set v%[1]d master br0 up\nip -n lw%[1]d addr add 10.9.%[2]d.%[3]d/16 dev eth0\nip -n lw%[1]d link set eth0 up\n", i, i/200, i%200+1)
		}
		began := time.Now()
		cmd := exec.CommandContext(b.Context(), "unshare", "-n", "-m", "sh", "-e")
		cmd.Stdin = strings.NewReader("mount -t tmpfs none /run\nmkdir -p /run/netns\n" + s.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Skipf("no namespaces here: %v: %s", err, out)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/200")
		b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s/200")
	}
}

// BenchmarkConnections is a dial, two bytes each way and a close.
func BenchmarkConnections(b *testing.B) {
	n := get(vnet.New(vnet.Config{Seed: 1}))
	defer n.Close()
	hosts := fill(b, n, 100, false, 22, 80)
	talkAll(b, hosts)
	used, done := cpu(), 0
	for b.Loop() {
		talkAll(b, hosts)
		done += len(hosts)
	}
	b.ReportMetric(float64(done)/(cpu()-used).Seconds(), "conn/cpu-s")
	b.ReportMetric(float64(n.Stats().Retransmits), "retransmissions")
}

// BenchmarkThroughput is one connection between two hosts.
func BenchmarkThroughput(b *testing.B) {
	for _, mtu := range []int{1500, 9000} {
		b.Run(strconv.Itoa(mtu), func(b *testing.B) {
			n := get(vnet.New(vnet.Config{Seed: 1}))
			defer n.Close()
			s := get(n.AddSegment(vnet.SegmentConfig{Name: "a", Prefixes: []netip.Prefix{prefix("10.0.0.0/24")}, MTU: mtu}))
			one, two := host(b, s, "one", "10.0.0.1"), host(b, s, "two", "10.0.0.2")
			l := get(two.Listen(b.Context(), 80))
			got := make(chan int64)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					k, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<20))
					got <- k
				}
			}()
			const size = 512 << 20
			buf := make([]byte, 1<<20)
			used, sent := cpu(), int64(0)
			for b.Loop() {
				c := get(one.Dialer().DialContext(b.Context(), "tcp", "two:80"))
				for range size / len(buf) {
					if _, err := c.Write(buf); err != nil {
						b.Fatal(err)
					}
				}
				c.Close()
				sent += <-got
			}
			if sent == 0 || sent%size != 0 {
				b.Fatalf("%d bytes arrived", sent)
			}
			b.ReportMetric(float64(sent)*8/1e9/(cpu()-used).Seconds(), "Gbit/cpu-s")
			b.ReportMetric(float64(n.Stats().Retransmits), "retransmissions")
		})
	}
}

// BenchmarkField holds connections to distinct addresses of a /16 open. The
// time for each is to stay the same as their number grows.
func BenchmarkField(b *testing.B) {
	for _, count := range []int{4250, 8500, 17_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			for b.Loop() {
				n := get(vnet.New(vnet.Config{Seed: 1}))
				s := get(n.AddSegment(vnet.SegmentConfig{Name: "decoys", Prefixes: []netip.Prefix{prefix("10.20.0.0/16")}}))
				red := host(b, s, "red", "10.20.255.254")
				f := get(s.AddField(vnet.FieldConfig{Name: "f", Prefix: prefix("10.20.0.0/16")}))
				l := get(f.Listen(b.Context(), 80))
				var held []net.Conn
				accepted := make(chan net.Conn, count)
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						accepted <- c
					}
				}()
				began, used := time.Now(), cpu()
				a := addr("10.20.0.1")
				for range count {
					held = append(held, get(red.Dialer().DialContext(b.Context(), "tcp", netip.AddrPortFrom(a, 80).String())), <-accepted)
					a = a.Next()
				}
				b.ReportMetric(time.Since(began).Seconds()*1e6/float64(count), "us/conn")
				b.ReportMetric((cpu()-used).Seconds()*1e6/float64(count), "cpu-us/conn")
				b.ReportMetric(rss(b), "MiB")
				for _, c := range held {
					c.Close()
				}
				n.Close()
				runtime.GC()
			}
		})
	}
}
