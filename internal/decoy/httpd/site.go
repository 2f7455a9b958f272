package httpd

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"path"
	"strings"
	"time"
)

// credential is what a request says who it is.
type credential struct{ method, user, secret string }

// credentials are those of a request: Basic, Bearer and AWS' signature in
// Authorization, a token of npm or GitLab, the form of the login page.
func (r *request) credentials() (out []credential) {
	word, rest, _ := strings.Cut(r.get("Authorization"), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(word) {
	case "basic":
		if b, err := base64.StdEncoding.DecodeString(rest); err == nil {
			user, pw, _ := strings.Cut(string(b), ":")
			out = append(out, credential{"basic", user, pw})
		}
	case "bearer", "token":
		out = append(out, credential{"bearer", "", rest})
	case "aws4-hmac-sha256":
		if _, after, ok := strings.Cut(rest, "Credential="); ok {
			id, _, _ := strings.Cut(after, "/")
			out = append(out, credential{"aws-sigv4", id, ""})
		}
	}
	if t := r.get("Private-Token"); t != "" {
		out = append(out, credential{"bearer", "", t})
	}
	if r.method == "POST" && strings.HasPrefix(strings.ToLower(r.get("Content-Type")), "application/x-www-form-urlencoded") && len(r.body) < maxLooked {
		if form, err := url.ParseQuery(string(r.body)); err == nil {
			if c, ok := formLogin(form); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// formLogin finds a name and a password in a form, whatever they are called.
func formLogin(form url.Values) (credential, bool) {
	c, has := credential{method: "form"}, false
	for name, values := range form {
		switch n := strings.ToLower(name); {
		case strings.Contains(n, "pass") || n == "pwd" || n == "psw":
			c.secret, has = values[0], true
		case strings.Contains(n, "user") || n == "login" || n == "log" || n == "email" || n == "name":
			c.user = values[0]
		}
	}
	return c, has
}

// site is the pages of one host: an entrance for its people, and the places for
// which old configurations hold credentials.
type site struct {
	host    string // its name
	changed time.Time
}

// protected are the places that ask for a name and a password, and their realm.
func protected(p string) (realm string, ok bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	switch {
	case strings.HasSuffix(first, ".git"), strings.Contains(p, ".git/"), first == "git":
		return "Git", true
	case first == "simple", first == "pypi":
		return "pypi", true
	case first == "repository", first == "npm", strings.HasPrefix(p, "/-/"):
		return "Repository", true
	case first == "v2":
		return "Registry", true
	case first == "backup", first == "backups", first == "intern", first == "admin", first == "webdav", first == "dav", first == "files":
		return "Restricted", true
	}
	return "", false
}

// answer is the page of a request. admitted says that its credentials were
// accepted, tried that it had some.
func (s *site) answer(r *request, admitted, tried bool) *response {
	p, ok := cleaned(r.path())
	if !ok {
		return fail(400)
	}
	if a, done := s.special(r, p, admitted); done {
		return a
	}
	if realm, ask := protected(p); ask {
		if !admitted {
			return unauthorised(realm)
		}
		return &response{status: 200, kind: "text/html", body: listing(p)}
	}
	switch {
	case r.method != "GET" && r.method != "HEAD" && r.method != "POST":
		return fail(405)
	case p == "/login":
		return s.login(r, admitted, tried)
	case p == "/" && r.method == "POST":
		return fail(405)
	case p == "/":
		return s.page("Welcome", s.form(""))
	case p == "/robots.txt":
		return s.file("text/plain", "User-agent: *\nDisallow: /intern/\nDisallow: /backup/\n")
	case p == "/favicon.ico", strings.HasSuffix(p, ".png"), strings.HasSuffix(p, ".gif"):
		if strings.HasPrefix(p, "/media/") || strings.HasPrefix(p, "/static/") {
			return s.file("image/gif", pixel)
		}
	}
	return fail(404)
}

// pixel is the smallest picture there is: one transparent point (GIF89a).
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// special are answers in another form than a web page: Kubernetes, AWS.
func (s *site) special(r *request, p string, admitted bool) (*response, bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	switch {
	case first == "api" || first == "apis" || p == "/openapi/v2" || p == "/openapi/v3" || p == "/version":
		if !admitted {
			return kubernetes(401, "Unauthorized", "Unauthorized"), true
		}
		return kubernetes(403, "Forbidden", "forbidden: no access to "+p), true
	case strings.Contains(r.get("Authorization"), "AWS4-HMAC-SHA256"):
		sum := sha256.Sum256([]byte(r.get("X-Amz-Date") + r.target))
		x := hex.EncodeToString(sum[:16])
		id := x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:32]
		return &response{status: 403, kind: "text/xml", body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error><RequestId>` + id + `</RequestId></ErrorResponse>`}, true
	}
	return nil, false
}

func kubernetes(code int, reason, message string) *response {
	return &response{status: code, kind: "application/json", body: fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%q,"reason":%q,"code":%d}`+"\n", message, reason, code)}
}

func unauthorised(realm string) *response {
	a := fail(401)
	a.extra = []header{{"WWW-Authenticate", `Basic realm="` + realm + `"`}}
	if realm == "Registry" {
		a.kind = "application/json; charset=utf-8"
		a.body = `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}` + "\n"
		a.extra = append([]header{{"Docker-Distribution-Api-Version", "registry/2.0"}}, a.extra...)
	}
	return a
}

// cleaned is the path decoded and without dots, as nginx takes it; ok is false
// for one that leaves the root or is wrongly escaped.
func cleaned(p string) (string, bool) {
	d, err := url.PathUnescape(p)
	if err != nil || strings.ContainsRune(d, 0) || !strings.HasPrefix(d, "/") {
		return "", false
	}
	depth := 0
	for part := range strings.SplitSeq(d, "/") {
		switch part {
		case "..":
			if depth--; depth < 0 {
				return "", false
			}
		case "", ".":
		default:
			depth++
		}
	}
	c := path.Clean(d)
	if strings.HasSuffix(d, "/") && c != "/" {
		c += "/"
	}
	return c, true
}

func (s *site) file(kind, body string) *response {
	return &response{status: 200, kind: kind, body: body, changed: s.changed}
}

func (s *site) page(title, inner string) *response {
	return &response{status: 200, kind: "text/html; charset=utf-8", body: "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + html.EscapeString(title+" - "+s.host) +
		"</title>\n<style>body{font:15px sans-serif;background:#eef1f4;margin:0}main{max-width:22em;margin:12vh auto;background:#fff;padding:2em;border:1px solid #ccd}label{display:block;margin:.8em 0 .2em}input{width:100%;box-sizing:border-box;padding:.4em}button{margin-top:1.2em;padding:.5em 1.4em}.e{color:#a00}</style>\n</head>\n<body>\n<main>\n" +
		inner + "</main>\n</body>\n</html>\n"}
}

func (s *site) form(note string) string {
	if note != "" {
		note = "<p class=\"e\">" + note + "</p>\n"
	}
	return "<h1>" + html.EscapeString(s.host) + "</h1>\n<p>Staff access. Please sign in.</p>\n" + note +
		"<form method=\"post\" action=\"/login\">\n<label for=\"u\">User name</label><input id=\"u\" name=\"username\" autocomplete=\"username\">\n" +
		"<label for=\"p\">Password</label><input id=\"p\" name=\"password\" type=\"password\" autocomplete=\"current-password\">\n<button>Sign in</button>\n</form>\n"
}

func (s *site) login(r *request, admitted, tried bool) *response {
	switch {
	case r.method == "POST" && admitted:
		return &response{status: 302, where: "/intern/", extra: []header{{"Set-Cookie", "sid=" + sid(r) + "; Path=/; HttpOnly"}}}
	case r.method == "POST" && tried:
		return s.page("Sign in", s.form("User name or password is wrong."))
	}
	return s.page("Sign in", s.form(""))
}

// sid is a session's number as it is set in a cookie; nothing is kept under it.
func sid(r *request) string {
	sum := sha256.Sum256(append([]byte(r.line), r.body...))
	return hex.EncodeToString(sum[:12])
}

// listing is nginx's list of a directory that holds nothing of interest.
func listing(p string) string {
	p = html.EscapeString(p)
	return "<html>\r\n<head><title>Index of " + p + "</title></head>\r\n<body>\r\n<h1>Index of " + p + "</h1><hr><pre><a href=\"../\">../</a>\r\n</pre><hr></body>\r\n</html>\r\n"
}
