package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// telnetVisit logs in on the router by Telnet, runs a command and leaves.
func telnetVisit(addr string) error {
	c, err := net.DialTimeout("tcp", addr, 30*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	var got []byte
	buf := make([]byte, 4096)
	for _, s := range []struct{ until, send string }{
		{"login: ", "root\r\n"}, {"Password: ", "admin\r\n"}, {"~ # ", "uname -a\r\n"}, {"GNU/Linux\r\n~ # ", "exit\r\n"},
	} {
		for !bytes.Contains(got, []byte(s.until)) {
			n, err := c.Read(buf)
			if err != nil {
				return fmt.Errorf("waiting for %q after %q: %w", s.until, got, err)
			}
			got = append(got, buf[:n]...)
		}
		got = nil
		if _, err := io.WriteString(c, s.send); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return fmt.Errorf("after exit: %w", err)
	}
	return nil
}

// telnetLoad makes n visits, at most at once at a time.
func telnetLoad(addr string, n, at int) error {
	var wg sync.WaitGroup
	todo, faults := make(chan struct{}), make(chan error, at)
	for range at {
		wg.Go(func() {
			var all error
			for range todo {
				all = errors.Join(all, telnetVisit(addr))
			}
			faults <- all
		})
	}
	for range n {
		todo <- struct{}{}
	}
	close(todo)
	wg.Wait()
	close(faults)
	var all error
	for err := range faults {
		all = errors.Join(all, err)
	}
	return all
}

// BenchmarkTelnetLoad is the CPU time of all our processes for 1,000 visits by
// Telnet with a login and a command, everything recorded.
func BenchmarkTelnetLoad(b *testing.B) {
	addr, w := startHost(b, "busybox-router", "telnet")
	spent := func() (sum time.Duration) {
		for _, pid := range w.processes() {
			sum += cpu(pid)
		}
		return sum
	}
	const visits = 1000
	if err := telnetLoad(addr, 20, 20); err != nil {
		b.Fatal(err)
	}
	var runs []float64
	for b.Loop() {
		for range 3 {
			before, began := spent(), time.Now()
			if err := telnetLoad(addr, visits, 20); err != nil {
				b.Fatal(err)
			}
			runs = append(runs, (spent()-before).Seconds()*1000/visits)
			b.Logf("%d visits: %.0f a second, %.2f CPU-s per 1,000", visits, visits/time.Since(began).Seconds(), runs[len(runs)-1])
		}
	}
	b.ReportMetric(median(runs), "CPU-s/1000")
	if got, want := recorded(b, w), 20+len(runs)*visits; got < want {
		b.Errorf("%d commands are recorded of %d", got, want)
	}
}
