package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTelnet goes the whole way: a router from a configuration, a bot by
// Telnet, what the operator reads afterwards.
func TestTelnet(t *testing.T) {
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in := &instance{t: t, dir: dir, addr: freePort(t)}
	conf := "hosts:\n  - name: gateway\n    persona: busybox-router\n    login: {accept: [{user: root, password: admin}]}\n    decoys:\n      - {type: telnet, listen: \"" + in.addr + "\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	in.start()
	t.Cleanup(in.stop)
	c, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	// What is typed before the prompt is echoed before it.
	r, prompt := bufio.NewReader(c), []byte(nil)
	for !bytes.HasSuffix(prompt, []byte("login: ")) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q, %v", prompt, err)
		}
		prompt = append(prompt, b)
	}
	io.WriteString(c, "root\r\nadmin\r\nenable\r\nsh\r\n/bin/busybox MIRAI\r\nexit\r\nexit\r\n")
	out, err := io.ReadAll(r)
	out = append(prompt, out...)
	if err != nil || !strings.HasPrefix(string(out), "\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03\r\r\n") || !strings.Contains(string(out), "\r\nMIRAI: applet not found\r\n~ # ") {
		t.Fatalf("%q, %v", out, err)
	}
	events := ""
	for range 100 { // what the visit posted is on its way to the hub
		if events = in.lapwing("events", "--json", "--since", "1h"); strings.Contains(events, `"connection-closed"`) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, want := range []string{
		`"event.action":"login".*"event.outcome":"success"`, `"logtype":6001`, `"logtype":6002`, `"network.protocol":"telnet"`, `"process.command_line":"/bin/busybox MIRAI"`, `"lapwing.telnet.newline":"crlf"`, `"lapwing.persona":"busybox-router"`, `"lapwing.password.hmac":"[0-9a-f]+"`,
	} {
		if !regexp.MustCompile(want).MatchString(events) {
			t.Errorf("%s is not among the events", want)
		}
	}
	if strings.Contains(events, `"lapwing.password.text"`) {
		t.Error("a typed password was kept")
	}
	if alerts := in.lapwing("alerts", "--json"); !strings.Contains(alerts, "Commands on a decoy") {
		t.Errorf("alerts %s", alerts)
	}
}
