package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/access"
	"github.com/lapwing-defence/lapwing/internal/event"
)

func refusals(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "2026-11-25T10:00:%02d+00:00 srv sshd[7]: Failed password for invalid user admin from 192.0.2.7 port 4000 ssh2\n", i)
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		status      int
		want        []string
	}{
		{"one line", "", []string{strings.TrimSpace(refusals(1))}, 0, []string{"+ source.ip                192.0.2.7", "Passwords Guessed (medium): 1 of 5 within 10m0s", "verdict   none", "kept      yes"}},
		{"five lines", refusals(5), nil, 1, []string{"5 of 5 within 10m0s for lapwing.net 192.0.2.7/32, it has fired", "verdict   Passwords Guessed (medium) about 192.0.2.7", "decision  no policy is asked"}},
		{"a name like a line", "", []string{"2026-11-25T10:00:00+00:00 srv sshd[7]: Failed password for invalid user root from 203.0.113.9 port 22 ssh2 from 192.0.2.7 port 4000 ssh2"}, 0, []string{"source.ip                192.0.2.7\n", "user.name                root from 203.0.113.9 port 22 ssh2\n"}},
		{"just missed", "", []string{"2026-11-25T10:00:00+00:00 srv sshd[7]: Accepted password for bob from 192.0.2.7 port 22 ssh2"}, 0, []string{"misses    Login as a Service Account", `and it is "bob"`}},
		{"a format that has to be named", "", []string{"--format", "mysql", "2026-11-25T10:00:00Z 5 [Note] Access denied for user 'x'@'192.0.2.7' (using password: YES)"}, 0, []string{"source.ip                192.0.2.7", "logon-failed"}},
		{"no login", "", []string{"2026-11-25T10:00:00+00:00 srv kernel: hello"}, 0, []string{"kept      no: it is no login"}},
		{"nothing", "", []string{"{broken"}, 0, []string{"not judged: it could not be read"}},
		{"no such state", "", []string{"--state", "/nonexistent/x", "x"}, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errs := lapwing(t, tt.stdin, append([]string{"explain"}, tt.args...)...)
			if status != tt.status {
				t.Errorf("status %d: %s", status, errs)
			}
			for _, w := range tt.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	status, out, errs := lapwing(t, refusals(5), "explain", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 1 || len(lines) != 5 {
		t.Fatalf("status %d, %d lines: %s", status, len(lines), errs)
	}
	var last access.Explanation
	if err := json.Unmarshal([]byte(lines[4]), &last); err != nil {
		t.Fatal(err)
	}
	if !last.Read || !last.Kept || len(last.Verdicts) == 0 || last.Verdicts[0].Event.Source.Addr().String() != "192.0.2.7" {
		t.Errorf("%+v", last)
	}
}

// wouldBlock is a policy that says the same of everything.
type wouldBlock struct{}

func (wouldBlock) Would(e event.Event) string { return "block " + e.Source.Addr().String() }

func TestExplainPolicy(t *testing.T) {
	var out strings.Builder
	g := &globals{IO: IO{Out: &out, Err: &out}}
	c := newExplain(g, func(string) (access.Policy, error) { return wouldBlock{}, nil })
	c.SetIn(strings.NewReader(refusals(5)))
	c.SetArgs([]string{})
	c.SetContext(t.Context())
	if err := c.Execute(); err == nil || !strings.Contains(out.String(), "decision  block 192.0.2.7") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
