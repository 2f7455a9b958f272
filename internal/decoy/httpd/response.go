package httpd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// serverName is what stands in Server and under error pages.
const serverName = "nginx/1.22.1"

// response is what a page answers, before the server's own headers are around it.
type response struct {
	status  int
	kind    string    // Content-Type
	body    string    // of an error: made by page unless set
	changed time.Time // of a file: Last-Modified, ETag, Accept-Ranges
	extra   []header  // after the server's own, in order
	where   string    // Location
}

// reasons are nginx's words for a status, on the status line and on the page.
func reasons(status int) (line, page string) {
	switch status {
	case 200:
		return "OK", ""
	case 201:
		return "Created", ""
	case 204:
		return "No Content", ""
	case 301:
		return "Moved Permanently", "301 Moved Permanently"
	case 302:
		return "Moved Temporarily", "302 Found"
	case 303:
		return "See Other", "303 See Other"
	case 400:
		return "Bad Request", "400 Bad Request"
	case 401:
		return "Unauthorized", "401 Authorization Required"
	case 403:
		return "Forbidden", "403 Forbidden"
	case 404:
		return "Not Found", "404 Not Found"
	case 405:
		return "Not Allowed", "405 Not Allowed"
	case 413:
		return "Request Entity Too Large", "413 Request Entity Too Large"
	case 414:
		return "Request-URI Too Large", "414 Request-URI Too Large"
	case 501:
		return "Not Implemented", "501 Not Implemented"
	case 505:
		return "HTTP Version Not Supported", "505 HTTP Version Not Supported"
	}
	return "Internal Server Error", "500 Internal Server Error"
}

// errorPage is nginx's page of a status; note stands under it and in the title.
func errorPage(status int, note string) string {
	_, page := reasons(status)
	title, line := page, ""
	if note != "" {
		title = strconv.Itoa(status) + " " + note
		line = "<center>" + note + "</center>\r\n"
	}
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + page + "</h1></center>\r\n" + line +
		"<hr><center>" + serverName + "</center>\r\n</body>\r\n</html>\r\n"
}

// fail is the answer of an error, with the server's own page.
func fail(status int) *response { return &response{status: status} }

func (a *response) content() (kind, body string) {
	if a.body == "" && a.kind == "" && a.status != 204 {
		return "text/html", errorPage(a.status, "")
	}
	return a.kind, a.body
}

const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"

// fields are the headers in nginx's order. persist is "" over HTTP/2.
func (a *response) fields(now time.Time, persist string) []header {
	kind, body := a.content()
	out := []header{{"Server", serverName}, {"Date", now.UTC().Format(httpTime)}}
	if kind != "" {
		out = append(out, header{"Content-Type", kind}, header{"Content-Length", strconv.Itoa(len(body))})
	}
	if !a.changed.IsZero() {
		out = append(out, header{"Last-Modified", a.changed.UTC().Format(httpTime)})
	}
	if a.where != "" {
		out = append(out, header{"Location", a.where})
	}
	if persist != "" {
		out = append(out, header{"Connection", persist})
	}
	if !a.changed.IsZero() {
		out = append(out, header{"ETag", fmt.Sprintf(`"%x-%x"`, a.changed.Unix(), len(body))}, header{"Accept-Ranges", "bytes"})
	}
	return append(out, a.extra...)
}

// bytes is the answer as it goes out over HTTP/1.
func (a *response) bytes(r *request, now time.Time, keep bool) []byte {
	_, body := a.content()
	if r.proto == "" && r.method != "" { // HTTP/0.9 knows no head
		return []byte(body)
	}
	persist := "close"
	if keep {
		persist = "keep-alive"
	}
	line, _ := reasons(a.status)
	var b strings.Builder
	b.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + line + "\r\n")
	for _, h := range a.fields(now, persist) {
		b.WriteString(h.name + ": " + h.value + "\r\n")
	}
	b.WriteString("\r\n")
	if r.method != "HEAD" {
		b.WriteString(body)
	}
	return []byte(b.String())
}
