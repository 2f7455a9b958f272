package httpd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Limits of one request, as nginx has them unless told otherwise.
const (
	maxLine    = 8 << 10  // bytes of the request line and of one header
	maxHeads   = 32 << 10 // bytes of all headers
	maxFields  = 200
	maxBody    = 1 << 20 // client_max_body_size
	maxChunked = 32      // digits and extensions of a chunk's size
)

// header is one line of a request's head, as the client wrote it.
type header struct{ name, value string }

// request is what a client asked, in the order and the spelling in which he did.
type request struct {
	method, target string
	proto          string // "HTTP/1.1", "HTTP/2.0", "" for HTTP/0.9
	headers        []header
	body           []byte
	line           string // the first line
}

// get is the first header of that name.
func (r *request) get(name string) string {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

func (r *request) count(name string) (n int) {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			n++
		}
	}
	return n
}

func (r *request) path() string {
	p, _, _ := strings.Cut(r.target, "?")
	if rest, ok := strings.CutPrefix(p, "http://"); ok { // absolute form
		_, p, _ = strings.Cut(rest, "/")
		p = "/" + p
	}
	return p
}

// fault is a request that is answered with an error and ends the connection.
type fault struct {
	status int
	note   string // what nginx writes instead of the status' name
	why    string
}

func (f *fault) Error() string { return fmt.Sprintf("%d: %s", f.status, f.why) }

var errQuiet = errors.New("the client sent nothing")

// readRequest reads the head of one request. A *fault is to be answered.
func readRequest(b *bufio.Reader) (*request, error) {
	line, err := readLine(b)
	for i := 0; err == nil && line == "" && i < 8; i++ { // nginx skips empty lines before a request
		line, err = readLine(b)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, &fault{status: 414, why: "a request line of more than 8 KiB"}
	}
	if err != nil {
		if line != "" {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, errQuiet
	}
	r := &request{line: line}
	if f := r.first(line); f != nil {
		return r, f
	}
	if r.proto == "" {
		return r, nil
	}
	if err := r.head(b); err != nil {
		return r, err
	}
	return r, r.check()
}

// readLine reads up to \n, and takes the \r before it off.
func readLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	s := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	return s, err
}

func (r *request) first(line string) *fault {
	bad := &fault{status: 400, why: "a request line that is none"}
	method, rest, ok := strings.Cut(line, " ")
	if !ok || method == "" || strings.ContainsFunc(method, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '_' && c != '-' }) {
		return bad
	}
	r.method = method
	rest = strings.TrimLeft(rest, " ")
	if i := strings.LastIndexByte(strings.TrimRight(rest, " "), ' '); i >= 0 && strings.HasPrefix(rest[i+1:], "HTTP/") {
		r.proto, rest = strings.TrimRight(rest[i+1:], " "), strings.TrimRight(rest[:i], " ")
	} else if method != "GET" {
		return bad
	}
	r.target = rest
	if rest == "" || rest[0] != '/' && rest != "*" && !strings.HasPrefix(rest, "http://") && !strings.HasPrefix(rest, "https://") || strings.ContainsAny(rest, "\x00 ") {
		if method != "CONNECT" {
			return bad
		}
	}
	switch {
	case r.proto == "", r.proto == "HTTP/1.1", r.proto == "HTTP/1.0":
	case len(r.proto) > 5 && r.proto[5] >= '2' && r.proto[5] <= '9':
		return &fault{status: 505, why: "an HTTP version that does not exist here"}
	default:
		return bad
	}
	return nil
}

func (r *request) head(b *bufio.Reader) error {
	size := 0
	for {
		line, err := readLine(b)
		if errors.Is(err, bufio.ErrBufferFull) {
			return &fault{status: 400, note: "Request Header Or Cookie Too Large", why: "a header of more than 8 KiB"}
		}
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if line == "" {
			return nil
		}
		if size += len(line); size > maxHeads || len(r.headers) >= maxFields {
			return &fault{status: 400, note: "Request Header Or Cookie Too Large", why: "headers of more than 32 KiB"}
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, "\x00 \t\r") || strings.ContainsAny(value, "\x00\r") {
			return &fault{status: 400, why: "a header line that is none"}
		}
		r.headers = append(r.headers, header{name, strings.Trim(value, " \t")})
	}
}

// check holds what nginx refuses before it looks at the path.
func (r *request) check() error {
	hosts := r.count("Host")
	length, chunked := r.get("Content-Length"), r.get("Transfer-Encoding")
	_, err := strconv.ParseUint(length, 10, 62)
	switch {
	case hosts > 1, hosts == 0 && r.proto == "HTTP/1.1":
		return &fault{status: 400, why: "not one Host header"}
	case strings.ContainsAny(r.get("Host"), "/ \x00"):
		return &fault{status: 400, why: "a Host that is none"}
	case length != "" && err != nil, r.count("Content-Length") > 1, length != "" && chunked != "":
		return &fault{status: 400, why: "the length of the body is not clear"}
	case chunked != "" && !strings.EqualFold(chunked, "chunked"):
		return &fault{status: 501, why: "an unknown Transfer-Encoding"}
	case r.method == "CONNECT":
		return &fault{status: 400, why: "method CONNECT"}
	case r.method == "TRACE":
		return &fault{status: 405, why: "method " + r.method}
	}
	return nil
}

// readBody reads the body. Memory grows with what came, not with what was announced.
func (r *request) readBody(b *bufio.Reader) error {
	if strings.EqualFold(r.get("Transfer-Encoding"), "chunked") {
		return r.readChunks(b)
	}
	n, _ := strconv.ParseInt(r.get("Content-Length"), 10, 64)
	if n > maxBody {
		return &fault{status: 413, why: fmt.Sprintf("a body of %d bytes", n)}
	}
	return r.more(b, n)
}

func (r *request) more(b *bufio.Reader, n int64) error {
	for n > 0 {
		k := int(min(n, 16<<10))
		at := len(r.body)
		r.body = slices.Grow(r.body, k)[:at+k]
		got, err := io.ReadFull(b, r.body[at:])
		if err != nil {
			r.body = r.body[:at+got]
			return io.ErrUnexpectedEOF
		}
		n -= int64(k)
	}
	return nil
}

func (r *request) readChunks(b *bufio.Reader) error {
	for {
		line, err := readLine(b)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		digits, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		if err != nil || len(line) > maxChunked+maxLine {
			return &fault{status: 400, why: "a chunk without a size"}
		}
		if n == 0 {
			break
		}
		if len(r.body)+int(n) > maxBody {
			return &fault{status: 413, why: "a body of more than 1 MiB in chunks"}
		}
		if err := r.more(b, int64(n)); err != nil {
			return err
		}
		if end, err := readLine(b); err != nil || end != "" {
			return &fault{status: 400, why: "a chunk without its end"}
		}
	}
	for range maxFields { // trailers
		line, err := readLine(b)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if line == "" {
			return nil
		}
	}
	return &fault{status: 400, why: "too many trailers"}
}

// ja4h is the fingerprint JA4H of a request (FoxIO, 2023).
func (r *request) ja4h() string {
	method := strings.ToLower(r.method + "00")[:2]
	version := map[string]string{"HTTP/1.0": "10", "HTTP/1.1": "11", "HTTP/2.0": "20"}[r.proto]
	if version == "" {
		version = "09"
	}
	cookie, referer, language := "n", "n", "0000"
	var names, cookies []string
	for _, h := range r.headers {
		switch strings.ToLower(h.name) {
		case "cookie":
			cookie = "c"
			for c := range strings.SplitSeq(h.value, ";") {
				cookies = append(cookies, strings.TrimSpace(c))
			}
			continue
		case "referer":
			referer = "r"
			continue
		case "accept-language":
			language = languageOf(h.value)
		}
		if !strings.HasPrefix(h.name, ":") {
			names = append(names, h.name)
		}
	}
	slices.Sort(cookies)
	keys := make([]string, len(cookies))
	for i, c := range cookies {
		keys[i], _, _ = strings.Cut(c, "=")
	}
	return fmt.Sprintf("%s%s%s%s%02d%s_%s_%s_%s", method, version, cookie, referer, min(len(names), 99), language,
		short(strings.Join(names, ",")), short(strings.Join(keys, ",")), short(strings.Join(cookies, ",")))
}

func languageOf(value string) string {
	first, _, _ := strings.Cut(value, ",")
	first, _, _ = strings.Cut(first, ";")
	var out []byte
	for i := 0; i < len(first) && len(out) < 4; i++ {
		if alnum(first[i]) {
			out = append(out, first[i])
		}
	}
	return strings.ToLower(string(out) + "0000"[len(out):])
}
