package service

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestOutside meets the server of the internet inside in all its voices.
func TestOutside(t *testing.T) {
	b := start(t, "outside", HostConfig{Persona: "linux-6"}, Config{Site: "outside"})
	ask := func(t *testing.T, send string) string {
		t.Helper()
		c := b.dial(t)
		defer c.Close()
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).CloseWrite()
		out, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, tt := range []struct{ name, send, want string }{
		{"up", "LAPWING-RANGE up 100000\r\n" + strings.Repeat("x", 100_000), "OK 100000\r\n"},
		{"up, cut short", "LAPWING-RANGE up 100000\r\nxx", ""},
		{"up, too much", "LAPWING-RANGE up 67108865\r\nxx", ""},
		{"down", "LAPWING-RANGE down 3\r\n", "LAP"},
		{"down, nothing", "LAPWING-RANGE down 0\r\n", ""},
		{"another first line", "LAPWING-RANGE across 3\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"a method with the same letter", "LOCK / HTTP/1.0\r\n\r\n", "HTTP/1.1 405 "},
		{"http", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"},
		{"http up", "POST /transfer HTTP/1.0\r\nContent-Length: 2\r\n\r\nxx", "HTTP/1.1 200 OK"},
		{"http down", "GET /transfer?bytes=5 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask(t, tt.send); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("%q, not %q", got, tt.want)
			}
		})
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr}
	res, err := client.Get(fmt.Sprintf("https://%s/transfer?bytes=70000", b.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || len(body) != 70_000 || !bytes.HasPrefix(body, []byte("LAPWING-RANGE-MARKER")) {
		t.Errorf("%d bytes over TLS: %v", len(body), err)
	}
}
