package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/lapwing-defence/lapwing/internal/entry"
)

// udpBind is a WireGuard client's socket on loopback.
type udpBind struct{ *net.UDPConn }

type udpEndpoint struct{ netip.AddrPort }

func (udpEndpoint) ClearSrc()             {}
func (udpEndpoint) SrcToString() string   { return "" }
func (udpEndpoint) SrcIP() netip.Addr     { return netip.Addr{} }
func (e udpEndpoint) DstIP() netip.Addr   { return e.Addr() }
func (e udpEndpoint) DstToString() string { return e.String() }
func (e udpEndpoint) DstToBytes() []byte  { b, _ := e.MarshalBinary(); return b }

func (b *udpBind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, 0, err
	}
	b.UDPConn = c
	receive := func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, from, err := c.ReadFromUDPAddrPort(packets[0])
		sizes[0], eps[0] = n, udpEndpoint{from}
		return 1, err
	}
	return []conn.ReceiveFunc{receive}, uint16(c.LocalAddr().(*net.UDPAddr).Port), nil
}

func (b *udpBind) Close() error {
	if b.UDPConn == nil {
		return nil
	}
	return b.UDPConn.Close()
}

func (b *udpBind) SetMark(uint32) error { return nil }
func (b *udpBind) BatchSize() int       { return 1 }

func (b *udpBind) Send(bufs [][]byte, to conn.Endpoint) error {
	for _, m := range bufs {
		if _, err := b.WriteToUDPAddrPort(m, to.(udpEndpoint).AddrPort); err != nil {
			return err
		}
	}
	return nil
}

func (b *udpBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	at, err := netip.ParseAddrPort(s)
	return udpEndpoint{at}, err
}

// person is somebody whose machine has the tunnel of a configuration up.
type person struct {
	t   *testing.T
	net *netstack.Net
	dev *device.Device
}

// interrupt ends the process as Ctrl-C does.
func (s *served) interrupt() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("%v: %s", err, s.err)
	}
}

// tunnel is a trainee's configuration.
func (s *served) tunnel(name string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, "d", "range", "wireguard", "lw-"+name+".conf")
	info, err := os.Stat(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		s.t.Errorf("%s may be read by others: %v", file, info.Mode())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// joins brings a tunnel up as wg-quick does, in userspace and on loopback.
func (s *served) joins(name string) *person {
	s.t.Helper()
	conf := map[string]string{}
	for line := range strings.Lines(s.tunnel(name)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			conf[k] = v
		}
	}
	addrs := func(key string) (out []netip.Addr) {
		for word := range strings.SplitSeq(conf[key], ", ") {
			word, _, _ = strings.Cut(word, "/")
			out = append(out, netip.MustParseAddr(word))
		}
		return out
	}
	dev, stack, err := netstack.CreateNetTUN(addrs("Address"), addrs("DNS"), 1420)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err1 := entry.ParsePrivateKey(conf["PrivateKey"])
	public, err2 := entry.ParsePublicKey(conf["PublicKey"])
	if err1 != nil || err2 != nil {
		s.t.Fatal(err1, err2)
	}
	set := fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\n", hex.EncodeToString(private[:]), hex.EncodeToString(public[:]), conf["Endpoint"])
	for n := range strings.SplitSeq(conf["AllowedIPs"], ", ") {
		set += "allowed_ip=" + n + "\n"
	}
	p := &person{t: s.t, net: stack, dev: device.NewDevice(dev, &udpBind{}, device.NewLogger(device.LogLevelSilent, ""))}
	s.t.Cleanup(p.dev.Close)
	if err := p.dev.IpcSet(set); err != nil {
		s.t.Fatal(err)
	}
	if err := p.dev.Up(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// fetch asks for a page that is there through the tunnel, until it comes.
func (p *person) fetch(page string) (code int, body string, err error) {
	p.t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; {
		if code, body, err = p.try(page); err == nil || time.Now().After(until) {
			return code, body, err
		}
	}
}

// try asks for a page once.
func (p *person) try(page string) (code int, body string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	tr := &http.Transport{DialContext: p.net.DialContext, DisableKeepAlives: true}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(q)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), err
}

// sees waits until the status says what it should.
func (s *served) sees(what string, args []string, f func(map[string]any) bool) map[string]any {
	s.t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		v := s.must(args...)
		if f(v) {
			return v
		}
		if time.Now().After(until) {
			s.t.Fatalf("in two minutes: not %s: %v", what, v)
		}
	}
}

// A trainee's WireGuard leads into his network and no other's, by name and by
// address, over a reset and a restart, with one configuration.
func TestRangeWireGuard(t *testing.T) {
	dir := rangeFolder(t)
	s := serveRange(t, dir, "anna", "bo")
	anna, bo := s.joins("anna"), s.joins("bo")
	for name, p := range map[string]*person{"anna": anna, "bo": bo} {
		for _, page := range []string{"http://10.9.1.10/", "http://web/"} {
			if code, body, err := p.fetch(page); code != 200 || !strings.Contains(body, "<html") {
				t.Fatalf("%s of %s: %d %q %v", page, name, code, body, err)
			}
		}
		for _, page := range []string{"http://nosuch.example/", "http://10.9.1.10:81/"} {
			if code, _, err := p.try(page); err == nil {
				t.Errorf("%s of %s: %d", page, name, code)
			}
		}
	}
	s.must("isolate", "web", "--trainee", "anna")
	if code, _, err := bo.fetch("http://web/only-bo-asks"); code != 404 {
		t.Errorf("anna cut her server off, and bo's says %d %v", code, err)
	}
	// Bo scans: an alert about that is neither right nor false, also after a restart.
	s.must("task", "--trainee", "bo")
	for i := range 80 {
		if code, _, err := bo.fetch(fmt.Sprintf("http://web/no-such-page-%d", i)); code != 404 {
			t.Fatalf("a page that is not there: %d %v", code, err)
		}
	}
	s.sees("an alert about bo", []string{"status", "--trainee", "bo"}, func(v map[string]any) bool { return v["exercise"].(map[string]any)["alerts"].(float64) > 0 })
	v := s.must("status", "--trainee", "anna")
	way, through := v["ways"].([]any)[1].(map[string]any), v["traffic"].([]any)[1].(map[string]any)
	if way["kind"] != "wireguard" || fmt.Sprint(way["inside"]) != "[10.9.1.254]" || fmt.Sprint(way["names"]) != "[10.9.1.253]" {
		t.Errorf("the way in: %v", way)
	}
	if through["kind"] != "wireguard" || through["open"] != 1.0 || through["bytes_in"].(float64) == 0 || through["bytes_out"].(float64) == 0 || through["handshake"] == nil {
		t.Errorf("what went through: %v", through)
	}
	s.must("reset", "anna")
	if code, _, err := anna.fetch("http://web/"); code != 200 {
		t.Errorf("after the reset: %d %v", code, err)
	}
	before := s.tunnel("anna")
	s.interrupt()
	s = serveRange(t, dir)
	if s.tunnel("anna") != before {
		t.Error("after a restart her configuration is another")
	}
	if code, _, err := s.joins("anna").fetch("http://web/"); code != 200 {
		t.Errorf("after the restart: %d %v", code, err)
	}
	s.interrupt()
	kept, err := filepath.Glob(filepath.Join(dir, "d", "exercises", "*-bo"))
	if err != nil || len(kept) != 2 {
		t.Fatalf("the reports of bo: %v %v: %s", kept, err, s.err)
	}
	text, err := os.ReadFile(filepath.Join(kept[1], "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Result struct {
			FalseAlarms int `json:"false_alarms"`
			Alerts      []struct{ Source, Verdict, Why string }
		}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, a := range r.Result.Alerts {
		if a.Source != "10.9.1.254" {
			continue
		}
		if own++; a.Verdict != "neutral" {
			t.Errorf("bo's own doings are %s: %s", a.Verdict, a.Why)
		}
	}
	if own == 0 || r.Result.FalseAlarms != 0 {
		t.Errorf("%d alerts about bo, %d false ones: %s", own, r.Result.FalseAlarms, text)
	}
}
