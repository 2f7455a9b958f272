package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestLineToKernel guesses passwords from many addresses in a log, and waits for
// each to stand in the kernel's set. It prints how long that took from the append
// of the last line to the kernel's own notice.
func TestLineToKernel(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	prog := sharedtest.Program(t, "nft")
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		sharedtest.Missing(t, fmt.Sprintf("ip: %v: %s", err, out))
	}
	in, log := newReading(t, "respond:\n  per_minute: 6000\n  rules: [{level: medium, mode: enforce}]\n  backends: [{type: nftables}]\n")
	in.within("the table", func() bool { return strings.Contains(nft(t, "list", "table", "inet", "lapwing"), "b32") })
	mon := exec.CommandContext(t.Context(), prog, "monitor", "elements")
	out, err := mon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		mon.Process.Kill()
		mon.Wait()
	}()
	type seen struct {
		addr string
		at   time.Time
	}
	blocks := make(chan seen, 1000)
	address := regexp.MustCompile(`b32 \{ ([0-9.]+) `)
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if m := address.FindStringSubmatch(sc.Text()); m != nil && strings.HasPrefix(sc.Text(), "add") {
				blocks <- seen{m[1], time.Now()}
			}
		}
	}()
	rounds := 20
	if os.Getenv("LAPWING_SOAK") != "" {
		rounds = 500
	}
	appendTo(t, log, failure(1)) // whatever is slow the first time
	time.Sleep(time.Second)
	var took []time.Duration
	for n := 1; n <= rounds; n++ {
		lines := ""
		for range 4 {
			lines += failure(n)
		}
		appendTo(t, log, lines)
		time.Sleep(20 * time.Millisecond)
		last := failure(n)
		began := time.Now()
		appendTo(t, log, last)
		want := fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255)
		for end := time.After(30 * time.Second); ; {
			var b seen
			select {
			case b = <-blocks:
			case <-end:
				t.Fatalf("%s is not blocked: %s\n%s", want, in.out, in.lapwing("blocks"))
			}
			if b.addr == want {
				took = append(took, b.at.Sub(began))
				break
			}
		}
	}
	slices.Sort(took)
	t.Logf("%d lines to the kernel: median %s, p99 %s, longest %s", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if list := nft(t, "list", "set", "inet", "lapwing", "b32"); strings.Count(list, "timeout ") < rounds {
		t.Errorf("not every element has a timeout: %.400s", list)
	}
}
