package netcmd

import (
	"context"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// pingRun is one call of iputils' ping.
type pingRun struct {
	p        *kernel.Proc
	count    int // 0 = until it is interrupted
	every    time.Duration
	wait     time.Duration // for an answer after the last request
	deadline time.Duration // of all, 0 = none
	size     int
	quiet    bool
	to       netip.Addr
	answers  bool
	times    []float64 // milliseconds
}

const maxPings = 100_000 // kept times of one call

func ping(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aAbBc:CdDe:fF:hHi:I:l:Lm:M:nNOp:qQ:rRs:S:t:T:UvVw:W:46", "")
	r := &pingRun{p: p, every: time.Second, wait: 10 * time.Second, size: 56, quiet: o.Has("q")}
	if o.Has("V") {
		put(p, "ping from iputils %s\n", version(p, "iputils-ping", "20221126"))
		return 0
	}
	if o.Bad != "" {
		complain(p, "ping: %s\n\nUsage\n  ping [options] <destination>\n", o.Bad)
		return 2
	}
	if bad := r.numbers(o); bad != "" {
		complain(p, "ping: %s\n", bad)
		return 1
	}
	if len(o.Args) == 0 {
		complain(p, "ping: usage error: Destination address required\n")
		return 1
	}
	name := o.Args[len(o.Args)-1]
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "ping", URL: "icmp:" + name})
	if !r.find(name) {
		complain(p, "ping: %s: Name or service not known\n", name)
		return 2
	}
	put(p, "PING %s (%s) %d(%d) bytes of data.\n", name, r.to, r.size, r.size+28)
	return r.run(ctx, name)
}

// numbers reads the options that are numbers.
func (r *pingRun) numbers(o getopt.Opts) (bad string) {
	second := func(name string, most float64, to *time.Duration) {
		if v := o.Get(name); v != "" {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || math.IsNaN(f) || f < 0 || f > most {
				bad = "invalid argument: '" + v + "'"
				return
			}
			*to = time.Duration(f * float64(time.Second))
		}
	}
	whole := func(name string, least, most int, to *int) {
		if v := o.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				bad = "invalid argument: '" + v + "'"
			} else if n < least || n > most {
				bad = "invalid argument: '" + v + "': out of range: " + strconv.Itoa(least) + " <= value <= " + strconv.Itoa(most)
			}
			*to = n
		}
	}
	second("i", 1e6, &r.every)
	second("W", 2e6, &r.wait)
	second("w", 2e6, &r.deadline)
	whole("c", 1, math.MaxInt32, &r.count)
	whole("s", 0, 127992, &r.size)
	r.every = max(r.every, 2*time.Millisecond)
	return bad
}

// find resolves name; what stands on the host itself or is its gateway answers.
func (r *pingRun) find(name string) bool {
	p := r.p.M.Persona
	n := p.NICs[0]
	if a, err := netip.ParseAddr(name); err == nil { //nolint:nestif // one arm a kind of name
		r.to = a
	} else if name == "localhost" {
		r.to = netip.MustParseAddr("127.0.0.1")
	} else if name == p.Hostname || name == p.FQDN() {
		r.to, err = netip.ParseAddr(n.IPv4)
		if err != nil {
			return false
		}
	} else {
		if r.p.M.Net == nil {
			return false
		}
		all, ok := r.p.M.Net.Resolve(name)
		if !ok || len(all) == 0 {
			return false
		}
		r.to = all[0]
	}
	r.answers = r.to.IsLoopback() || r.to.String() == n.IPv4 || r.to.String() == n.Gateway
	return true
}

// run sends at the clock's pace until the count, the deadline or ^C.
func (r *pingRun) run(ctx context.Context, name string) int {
	start, sent := r.p.Now(), 0
	sleep := func(d time.Duration) bool { return r.p.M.Clock.Sleep(ctx, d) == nil }
	for r.p.Step(1) == nil {
		sent++
		if r.answers {
			r.answer(sent)
		}
		if r.count > 0 && sent >= r.count {
			if !r.answers {
				sleep(r.wait)
			}
			break
		}
		if r.deadline > 0 && r.p.Now().Sub(start)+r.every > r.deadline || !sleep(r.every) {
			break
		}
	}
	got := len(r.times)
	span := time.Duration(sent-1) * (r.every + 20*time.Millisecond)
	put(r.p, "\n--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss, time %dms\n", name, sent, got, (sent-got)*100/sent, span.Milliseconds())
	if got == 0 {
		put(r.p, "\n")
		return 1
	}
	low, high, sum, squares := math.Inf(1), 0.0, 0.0, 0.0
	for _, t := range r.times {
		low, high, sum, squares = min(low, t), max(high, t), sum+t, squares+t*t
	}
	mean := sum / float64(got)
	put(r.p, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", low, mean, high, math.Sqrt(max(squares/float64(got)-mean*mean, 0)))
	return 0
}

func (r *pingRun) answer(seq int) {
	t := 0.03 + float64(r.p.M.Rand.IntN(40))/1000
	if !r.to.IsLoopback() && r.to.String() == r.p.M.Persona.NICs[0].Gateway {
		t = 0.25 + float64(r.p.M.Rand.IntN(300))/1000
	}
	if len(r.times) < maxPings {
		r.times = append(r.times, t)
	}
	if !r.quiet {
		put(r.p, "%d bytes from %s: icmp_seq=%d ttl=64 time=%.3f ms\n", r.size+8, r.to, seq, t)
	}
}
