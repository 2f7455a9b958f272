package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const classFile = `
range: "1"
id: class
name: A class
duration: 1h
seed: 3
networks:
  lan: {cidr: 10.9.1.0/24}
hosts:
  web: {network: lan, ip: 10.9.1.10, persona: linux-6, services: [{port: tcp/80, type: http, site: intranet}]}
  mail: {network: lan, ip: 10.9.1.20, persona: linux-6, services: [{port: tcp/25, type: smtp}]}
  red: {network: lan, persona: linux-6, roles: [red], hidden: true}
  tap: {network: lan, ip: 10.9.1.200, persona: linux-6, access: [socks5, wireguard]}
adversary:
  steps:
    - id: knock
      technique: {attack_id: T1595.002, name: Vulnerability Scanning}
      tactic: reconnaissance
      from: red
      action: http.path_probe
      target: {host: web}
      args: {rate: 50/s}
      at: 30m
training:
  levels:
    - {id: hello, type: info, title: Hello, content: Begin.}
    - id: who
      type: question
      answer: {equals: blue}
      points: 100
      incorrect_answer_limit: 1000
      hints: [{id: h1, text: A colour., cost: 10}]
    - {id: cut, type: response, answer: {state: {host: web, isolated: true}}, points: 200}
`

// served is a range that is being served.
type served struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	err *bytes.Buffer
	way string // address of SOCKS5
}

func serveRange(t *testing.T, dir string, trainees ...string) *served {
	t.Helper()
	s := &served{t: t, dir: dir, err: &bytes.Buffer{}}
	args := []string{"range", "serve", "--json", "--quiet", "--data", filepath.Join(dir, "d"), filepath.Join(dir, "class.range.yaml")}
	for _, n := range trainees {
		args = append(args, "--trainee", n)
	}
	s.cmd = command(t, args...)
	s.cmd.Stderr = s.err
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	ready := make(chan bool, 1)
	go func() {
		defer func() { ready <- false }()
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var line struct {
				Ready bool
				Ways  []struct{ Address string }
			}
			if json.Unmarshal(sc.Bytes(), &line) == nil && len(line.Ways) > 0 {
				s.way = line.Ways[0].Address
			}
			if line.Ready {
				ready <- true
			}
		}
	}()
	select {
	case ok := <-ready:
		if !ok {
			s.kill()
			t.Fatalf("it ended before it was ready: %s", s.err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("not ready in two minutes")
	}
	return s
}

// kill ends the process as a loss of power would.
func (s *served) kill() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

// say runs a command of the range as somebody, and gives what it prints.
func (s *served) say(args ...string) (map[string]any, error) {
	s.t.Helper()
	c := command(s.t, append([]string{"range", "--json", "--data", filepath.Join(s.dir, "d")}, args...)...)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, complaint.String())
	}
	var v map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		s.t.Fatalf("%q: %v", out, err)
	}
	return v, nil
}

func (s *served) must(args ...string) map[string]any {
	s.t.Helper()
	v, err := s.say(args...)
	if err != nil {
		s.t.Fatalf("range %v: %v", args, err)
	}
	return v
}

func rangeFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "class.range.yaml"), []byte(classFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a trainee was told he has, he has after kill -9, whenever it comes.
func TestRangeSurvivesKill(t *testing.T) {
	dir := rangeFolder(t)
	s := serveRange(t, dir, "anna")
	s.must("next")
	s.must("hint")
	var wrong float64
	for round := range 3 {
		told := make(chan float64)
		go func() {
			n := 0.0
			defer func() { told <- n }()
			for {
				v, err := s.say("answer", "red")
				if err != nil {
					return
				}
				if left, ok := v["left"].(float64); ok {
					n = 1000 - left
				}
			}
		}()
		for { // until some answers came through
			time.Sleep(50 * time.Millisecond)
			if v, err := s.say("status"); err == nil && v["wrong"].(float64) >= wrong+2 {
				break
			}
		}
		s.kill()
		wrong = max(wrong, <-told)
		s = serveRange(t, dir)
		v := s.must("status")
		// One answer more may be written down whose sender was not told so.
		if got := v["wrong"].(float64); got < wrong || got > wrong+1 {
			t.Errorf("round %d: %v wrong answers, %v were told", round, got, wrong)
		} else {
			wrong = got
		}
		if v["hints"] != 1.0 || v["level"] != 2.0 || v["state"] != "running" {
			t.Errorf("round %d: %v", round, v)
		}
	}
	if v := s.must("answer", "Blue"); v["points"] != 90.0 {
		t.Errorf("the right answer: %v", v)
	}
	s.must("isolate", "web")
	s.kill()
	s = serveRange(t, dir)
	v := s.must("status")
	if v["points"] != 290.0 || fmt.Sprint(v["isolated"]) != "[web]" || v["elapsed_s"].(float64) <= 0 {
		t.Errorf("after the last kill: %v", v)
	}
	if _, err := s.fetch("anna", "http://web/"); err == nil {
		t.Error("the host that was cut off answers after the restart")
	}
}

// fetch asks for a page through the SOCKS5 way in.
func (s *served) fetch(user, page string) (int, error) {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "d", "range", "tokens", user))
	if err != nil {
		s.t.Fatal(err)
	}
	tr := &http.Transport{
		Proxy:                 http.ProxyURL(&url.URL{Scheme: "socks5h", Host: s.way, User: url.UserPassword(user, strings.TrimSpace(string(token)))}),
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: 30 * time.Second,
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// A person plays the class through from the terminal, by the real program.
func TestRangeJoin(t *testing.T) {
	s := serveRange(t, rangeFolder(t), "anna", "bo")
	if code, err := s.fetch("anna", "http://web/"); code != 200 {
		t.Fatalf("the web server: %d %v", code, err)
	}
	c := command(t, "range", "join", "--trainee", "anna", "--data", filepath.Join(s.dir, "d"))
	c.Stdin = strings.NewReader("/help\n/next\nred\n/hint\n/nonsense\nBLUE\n/isolate web\n/status\n/quit\n")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		"Level 1 of 3, info: Hello", "/isolate HOST", "Level 2 of 3", "Wrong. Attempts left: 999.", "h1 (10 points): A colour.", "there is no /nonsense",
		"Right: 90 points.", "Level 3 of 3", "web is cut off.", "Right: 200 points.", "Every level is done", "290 of 300 points",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q does not follow in\n%s", want, out)
		}
		rest = after
	}
	r := s.must("reset", "anna")
	t.Logf("reset took %.0f ms", r["took_ms"])
	if v := s.must("status", "--trainee", "anna"); v["points"] != 0.0 || v["resets"] != 1.0 {
		t.Errorf("after a reset: %v", v)
	}
	if code, err := s.fetch("anna", "http://web/"); code != 200 {
		t.Errorf("the new network: %d %v", code, err)
	}
	if _, err := s.fetch("anna", "http://127.0.0.1:22/"); err == nil {
		t.Error("the way in leads out of the range")
	}
}

// ssh and others come in by range connect.
func TestRangeConnect(t *testing.T) {
	s := serveRange(t, rangeFolder(t), "anna")
	connect := func(in string, to ...string) (string, error) {
		c := command(t, append([]string{"range", "connect", "--data", filepath.Join(s.dir, "d")}, to...)...)
		c.Stdin = strings.NewReader(in)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := connect("QUIT\r\n", "mail", "25"); err != nil || !strings.HasPrefix(out, "220 ") {
		t.Errorf("the mail server: %q %v", out, err)
	}
	for _, to := range [][]string{{"nosuch", "25"}, {"mail", "26"}, {"127.0.0.1", "25"}} {
		if out, err := connect("", to...); err == nil || !strings.Contains(out, "of the exercise") {
			t.Errorf("%v: %q %v", to, out, err)
		}
	}
}
