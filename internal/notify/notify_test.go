package notify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
)

// people keep what they are told; err is what they answer instead.
type people struct {
	mu  sync.Mutex
	got []Message
	err error
}

func (p *people) Send(_ context.Context, m *Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.got = append(p.got, *m)
	return nil
}

func (p *people) titles() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		out = append(out, m.Title)
	}
	return out
}

func (p *people) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

type rig struct {
	*Notifier
	clk *clock.Manual
	to  *people
	dir string
}

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.Local)

func newRig(t *testing.T, dir string, p Policy) *rig {
	t.Helper()
	r := &rig{clk: clock.NewManual(noon), to: &people{}, dir: dir}
	r.open(t, p)
	return r
}

func (r *rig) open(t *testing.T, p Policy) {
	t.Helper()
	n := 0
	var err error
	r.Notifier, err = New(Config{
		Dir: r.dir, Targets: []Target{{Name: "chat", Sender: r.to, Policy: p}}, Clock: r.clk, Host: "h", Secrets: []string{"hunter2!"},
		NewID: func() string { n++; return fmt.Sprintf("%s-%06d", r.clk.Now().UTC().Format("20060102T150405.000"), n) },
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) tell(t *testing.T, kind Kind, level alert.Level, key, title string) {
	t.Helper()
	if err := r.Tell(Message{Kind: kind, Level: level.String(), Key: key, Title: title}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) round(t *testing.T) time.Duration {
	t.Helper()
	d, err := r.targets[0].round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPolicy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy Policy
		act    func(t *testing.T, r *rig)
		want   []string
	}{
		{"one alert", Policy{}, func(t *testing.T, r *rig) {
			t.Helper()
			r.tell(t, Alert, alert.High, "a", "one")
			r.round(t)
		}, []string{"one"}},
		{"below the level", Policy{MinLevel: alert.High}, func(t *testing.T, r *rig) {
			t.Helper()
			r.tell(t, Alert, alert.Medium, "a", "small")
			r.tell(t, Honeytoken, alert.Low, "b", "token")
			r.round(t)
		}, []string{"token"}},
		{"the same again within the hour, and after", Policy{}, func(t *testing.T, r *rig) {
			t.Helper()
			for range 3 {
				r.tell(t, Alert, alert.High, "a", "one")
				r.round(t)
				r.clk.Advance(25 * time.Minute)
			}
			r.tell(t, Alert, alert.High, "a", "one later")
			r.round(t)
		}, []string{"one", "one later"}},
		{"a flood becomes a digest", Policy{Most: 2, Per: 10 * time.Minute}, func(t *testing.T, r *rig) {
			t.Helper()
			for i := range 100 {
				r.tell(t, Alert, alert.High, strconv.Itoa(i), fmt.Sprintf("matter %d", i%5))
			}
			if d := r.round(t); d != 10*time.Minute {
				t.Errorf("looked at again in %s", d)
			}
			r.tell(t, Honeytoken, alert.High, "t", "token")
			r.round(t)
			r.clk.Advance(10 * time.Minute)
			r.round(t)
		}, []string{"matter 0", "matter 1", "token", "lapwing on h: 98 messages in one"}},
		{"quiet hours", Policy{QuietFrom: 22 * time.Hour, QuietTo: 6 * time.Hour}, func(t *testing.T, r *rig) {
			t.Helper()
			r.clk.Advance(11 * time.Hour) // 23:00
			r.tell(t, Alert, alert.Critical, "a", "night")
			r.tell(t, Alert, alert.Critical, "b", "night too")
			r.tell(t, Health, alert.High, "", "a disk is full")
			r.tell(t, Honeytoken, alert.High, "", "token")
			if d := r.round(t); d != time.Hour {
				t.Errorf("looked at again in %s", d)
			}
			r.clk.Advance(7*time.Hour + time.Second)
			r.round(t)
		}, []string{"a disk is full", "token", "lapwing on h: 2 messages in one"}},
		{"heartbeat", Policy{Heartbeat: 30 * time.Minute}, func(t *testing.T, r *rig) {
			t.Helper()
			r.round(t)
			r.clk.Advance(29 * time.Minute)
			r.round(t)
			r.clk.Advance(time.Minute)
			r.round(t)
		}, []string{"lapwing on h is watching", "lapwing on h is watching"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, t.TempDir(), tt.policy)
			tt.act(t, r)
			if got := r.to.titles(); !slices.Equal(got, tt.want) {
				t.Errorf("told %q", got)
			}
			if s := r.Health()[0]; s.Waiting != 0 || s.Dropped != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestDeadTargetLosesNothing: what cannot be told waits over restarts, and is told in order.
func TestDeadTargetLosesNothing(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, Policy{})
	r.to.fail(errors.New("no route with hunter2! in it"))
	for i := range 5 {
		r.tell(t, Alert, alert.High, strconv.Itoa(i), fmt.Sprintf("m%d", i))
	}
	if _, err := r.targets[0].round(t.Context()); err == nil {
		t.Fatal("a dead target took something")
	}
	s := r.Health()[0]
	if s.Waiting != 5 || s.Error != "no route with [secret] in it" || !s.Since.Equal(noon) {
		t.Errorf("%+v", s)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat", "20200101-x.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open(t, Policy{})
	r.to.fail(nil)
	r.clk.Advance(time.Minute)
	r.tell(t, Alert, alert.High, "5", "m5")
	r.round(t)
	if got := r.to.titles(); !slices.Equal(got, []string{"m0", "m1", "m2", "m3", "m4", "m5"}) {
		t.Errorf("told %q", got)
	}
	if s := r.Health()[0]; s.Waiting != 0 || s.Dropped != 1 || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

func TestFullSpool(t *testing.T) {
	r := newRig(t, t.TempDir(), Policy{})
	r.targets[0].spool.limit = 3
	for i := range 5 {
		r.tell(t, Alert, alert.High, strconv.Itoa(i), fmt.Sprintf("m%d", i))
	}
	r.round(t)
	if got := r.to.titles(); !slices.Equal(got, []string{"m2", "m3", "m4"}) || r.Health()[0].Dropped != 2 {
		t.Errorf("told %q, %+v", got, r.Health()[0])
	}
}

// TestRun: the loop wakes for what is told while it waits.
func TestRun(t *testing.T) {
	r := newRig(t, t.TempDir(), Policy{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	r.tell(t, Alert, alert.High, "a", "one")
	for range 3000 {
		if len(r.to.titles()) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
	if got := r.to.titles(); len(got) != 1 {
		t.Errorf("told %q", got)
	}
}

const hostile = "x\x1b[31m\u202e<!channel> @here *b* [a](http://x.example) \x00\n"

func sample() *Message {
	m := &Message{ID: "01", Time: noon, Kind: Alert, Level: "high", Title: "Login on " + hostile, Text: "text " + hostile + strings.Repeat("y", 9000), Fields: []Field{{"source.ip", "192.0.2.9"}, {"user.name", "a|b=c\\d"}}}
	m.clean()
	return m
}

// TestWeb: each sender says what its target understands, and nothing in it acts.
func TestWeb(t *testing.T) {
	var body []byte
	var head http.Header
	var path string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		head, path = r.Header, r.URL.Path
		w.WriteHeader(max(200, map[string]int{"/bad": 400, "/down": 503}[r.URL.Path]))
	}))
	defer srv.Close()
	m := sample()
	send := func(s Sender) map[string]any {
		t.Helper()
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(body), "\x1b\x00") || strings.Contains(string(body), `\u001b`) || strings.Contains(string(body), `\u202e`) || len(body) > 6000 {
			t.Errorf("%T sends %d bytes: %.200q", s, len(body), body)
		}
		return out
	}
	got := send(&Webhook{Post: Post{URL: srv.URL + "/hook"}, Secret: []byte("k"), Now: func() time.Time { return noon }})
	at := strconv.FormatInt(noon.Unix(), 10)
	if got["level"] != "high" || head.Get("X-Lapwing-Signature") != "t="+at+",v1="+Sign([]byte("k"), at, body) {
		t.Errorf("%v, %q", got, head)
	}
	if text := send(&Slack{Post{URL: srv.URL}})["text"].(string); strings.Contains(text, "<!") || strings.Contains(text, "@here") || !strings.HasPrefix(text, "*HIGH* Login on x") {
		t.Errorf("%.200q", text)
	}
	send(&Teams{Post{URL: srv.URL}})
	if strings.Contains(string(body), "[a](http") {
		t.Errorf("%.300q", body)
	}
	if got := send(&Ntfy{Post: Post{URL: srv.URL + "/base/topic1"}, Token: "tk"}); got["topic"] != "topic1" || got["priority"] != 4.0 || path != "/base/" || head.Get("Authorization") != "Bearer tk" {
		t.Errorf("%v to %s", got, path)
	}
	if err := (&Slack{Post{URL: srv.URL + "/bad"}}).Send(t.Context(), m); !errors.Is(err, ErrNever) {
		t.Errorf("%v", err)
	}
	if err := (&Slack{Post{URL: srv.URL + "/down"}}).Send(t.Context(), m); err == nil || errors.Is(err, ErrNever) {
		t.Errorf("%v", err)
	}
}

// TestRedirect: a target that points elsewhere gets nothing sent there.
func TestRedirect(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	if err := (&Slack{Post{URL: srv.URL + "/SECRETPATH"}}).Send(t.Context(), sample()); err == nil || reached || strings.Contains(err.Error(), "SECRETPATH") {
		t.Errorf("%v, reached %v", err, reached)
	}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestSyslog(t *testing.T) {
	ln := listener(t)
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c)
		c.Close()
		got <- string(b)
	}()
	if err := (&Syslog{Address: ln.Addr().String(), Host: "h", Version: "1"}).Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	s := <-got
	count, record, _ := strings.Cut(s, " ")
	if count != strconv.Itoa(len(record)) || !strings.HasPrefix(record, "<107>1 2026-11-25T") || !strings.Contains(record, " h lapwing - alert - CEF:0|lapwing|lapwing|1|alert|Login on x") ||
		!strings.Contains(record, "|8|rt=") || !strings.Contains(record, `suser=a|b\=c\\d`) || !strings.Contains(record, " src=192.0.2.9") || strings.Contains(record, "\n") {
		t.Errorf("%s %.400q", count, record)
	}
}

// TestMail speaks with a small mail server.
func TestMail(t *testing.T) {
	ln := listener(t)
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		io.WriteString(c, "220 mail ESMTP\r\n")
		var all strings.Builder
		data := false
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			all.WriteString(line)
			switch {
			case data && line == ".\r\n":
				data = false
				io.WriteString(c, "250 ok\r\n")
			case data:
			case strings.HasPrefix(line, "DATA"):
				data = true
				io.WriteString(c, "354 go\r\n")
			case strings.HasPrefix(line, "QUIT"):
				io.WriteString(c, "221 bye\r\n")
				got <- all.String()
				return
			default:
				io.WriteString(c, "250 ok\r\n")
			}
		}
	}()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	var n int
	fmt.Sscan(port, &n)
	if err := (&Mail{Host: host, Port: n, Plain: true, From: "lapwing@example.net", To: []string{"ops@example.net"}, Hello: "h.example.net"}).Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	s := <-got
	for _, want := range []string{"RCPT TO:<ops@example.net>", "Subject: ", "[high] Login on", "Auto-Submitted: auto-generated", "source.ip: 192.0.2.9"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not in %.900q", want, s)
		}
	}
}

// TestTry tells each target's own error, without the secret in it.
func TestTry(t *testing.T) {
	r := newRig(t, t.TempDir(), Policy{})
	if got, err := r.Try(t.Context(), "chat"); err != nil || got["chat"] != nil || len(r.to.titles()) != 1 {
		t.Errorf("%v %v", got, err)
	}
	r.to.fail(errors.New("hunter2! refused"))
	if got, _ := r.Try(t.Context(), ""); got["chat"] == nil || strings.Contains(got["chat"].Error(), "hunter2") {
		t.Errorf("%v", got)
	}
	if _, err := r.Try(t.Context(), "nosuch"); err == nil {
		t.Error("a target that is not there was tried")
	}
}

func FuzzInert(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		m := &Message{Title: s, Text: s, Fields: []Field{{s, s}}, Kind: Alert}
		m.clean()
		if len(m.Title) > maxTitle || len(m.Text) > maxText || strings.ContainsAny(m.Title, "\n\x1b\x00\u202e") || strings.ContainsAny(m.Text, "\r\x1b\x00\u202e") {
			t.Errorf("%q %q", m.Title, m.Text)
		}
		if r := (&Syslog{}).record(m); strings.ContainsAny(r, "\n\r\x00") {
			t.Errorf("%q", r)
		}
	})
}
