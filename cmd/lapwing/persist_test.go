package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// as runs a line with another password.
func (in *instance) as(password, line string) (string, error) {
	c, err := ssh.Dial("tcp", in.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
	if err != nil {
		return "", err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	out, err := s.CombinedOutput(line)
	return string(out), err
}

// TestVisitorFindsHisChanges kills the worker, then everything: what a
// visitor changed more than a few seconds before is still his.
func TestVisitorFindsHisChanges(t *testing.T) {
	in := newInstance(t)
	if out, err := in.exec("echo mine > /root/left; (crontab -l 2>/dev/null; echo '* * * * * /root/left') | crontab -; echo root:N3w | chpasswd"); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	kept := func() bool {
		f, _ := filepath.Glob(filepath.Join(in.dir, "d", "visitors", "*", "*.state"))
		return len(f) > 0
	}
	for end := time.Now().Add(20 * time.Second); !kept(); {
		if time.Now().After(end) {
			t.Fatal("nothing is kept")
		}
		time.Sleep(50 * time.Millisecond)
	}
	check := func(when string) {
		t.Helper()
		var out string
		var err error
		for range 50 { // the worker may be starting again
			if out, err = in.as("N3w", "cat /root/left; crontab -l"); err == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil || !strings.Contains(out, "mine\n") || !strings.Contains(out, "* * * * * /root/left") {
			t.Errorf("after %s: %q, %v\n%s", when, out, err, in.out)
		}
	}
	for _, pid := range in.children() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	check("a kill of hub and worker")
	kids := in.children()
	in.cmd.Process.Kill()
	for _, pid := range kids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	in.cmd.Wait()
	in.start()
	check("a kill of everything")
	if _, err := in.as("wrong", "id"); err == nil {
		t.Error("another password is let in")
	}
}
