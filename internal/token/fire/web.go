package fire

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// request is what a client of the kind would send first with the credential.
func (s *Shot) request() (*http.Request, error) {
	target, header, value, err := s.ask()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+s.Token.Door.Address+target, nil) //nolint:noctx // it is written to a connection that has a deadline
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	r.Header.Set("User-Agent", "curl/7.88.1")
	if header != "" {
		r.Header.Set(header, value)
	}
	return r, nil
}

// ask gives the path, and the header that holds the credential.
func (s *Shot) ask() (target, header, value string, err error) {
	const auth = "Authorization"
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	switch s.Token.Kind {
	case "netrc":
		f := strings.Fields(s.text(".netrc"))
		if len(f) != 6 {
			return "", "", "", errors.New("the entry has not six words")
		}
		return "/backup/", auth, basic(f[3], f[5]), nil
	case "git", "pip":
		line := strings.TrimSpace(s.text(".git-credentials"))
		if s.Token.Kind == "pip" {
			line = cut(s.text("pip.conf"), "index-url = ", "\n")
		}
		u, err := url.Parse(line)
		if err != nil || u.User == nil {
			return "", "", "", fmt.Errorf("it has no URL with a user: %w", err)
		}
		password, _ := u.User.Password()
		target := u.Path + "pip/"
		if s.Token.Kind == "git" {
			target = "/git/" + s.Token.Names["repo"] + ".git/info/refs?service=git-upload-pack"
		}
		return target, auth, basic(u.User.Username(), password), nil
	case "npmrc":
		return "/npm/-/whoami", auth, "Bearer " + cut(s.text(".npmrc"), ":_authToken=", "\n"), nil
	case "docker":
		return "/v2/", auth, "Basic " + cut(s.text(".docker/"), `"auth": "`, `"`), nil
	case "aws":
		return "/", auth, "AWS4-HMAC-SHA256 Credential=" + cut(s.text(".aws/credentials"), "aws_access_key_id = ", "\n") +
			"/20250101/eu-central-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64), nil
	case "kubeconfig":
		return "/api?timeout=32s", "", "", nil
	}
	u, err := url.Parse(s.link())
	if err != nil || u.Path == "" {
		return "", "", "", fmt.Errorf("it has no link: %w", err)
	}
	return u.RequestURI(), "", "", nil
}

// web sends the request and waits for the head of the answer.
func (s *Shot) web() error {
	r, err := s.request()
	if err != nil {
		return err
	}
	if err := s.Armed(); err != nil {
		return err
	}
	conn := s.Conn
	if s.Token.Door.Type == "https" {
		if conn, err = s.encrypt(); err != nil {
			return err
		}
	}
	if err := r.Write(conn); err != nil {
		return fmt.Errorf("talk to the decoy: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), r)
	if err != nil {
		return fmt.Errorf("read the decoy's answer: %w", err)
	}
	return resp.Body.Close()
}

const maxAnswer = 1 << 20 // bytes

// encrypt begins TLS, with the client certificate that a kubeconfig has.
func (s *Shot) encrypt() (net.Conn, error) {
	// It is one of our own listeners; what is tried is what gives the token away.
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // as said
	if text := s.text(".kube/"); text != "" {
		cert, err1 := base64.StdEncoding.DecodeString(cut(text, "client-certificate-data: ", "\n"))
		key, err2 := base64.StdEncoding.DecodeString(cut(text, "client-key-data: ", "\n"))
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", errors.Join(err, err1, err2))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return tls.Client(s.Conn, c), nil
}

// text is the content of the first file whose path has part in it.
func (s *Shot) text(part string) string {
	for _, f := range s.Files {
		if strings.Contains(f.Path, part) {
			return string(f.Content)
		}
	}
	return ""
}

// cut is what stands between two texts.
func cut(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	out, _, _ := strings.Cut(rest, to)
	return out
}

// link is the link of a token: given by hand, in a text, or in the archive that a
// document is.
func (s *Shot) link() string {
	if u := s.Values["url"]; u != "" {
		return u
	}
	origin := []byte("://" + strings.TrimSuffix(strings.TrimSuffix(s.Token.Door.Address, ":80"), ":443") + "/")
	for _, f := range s.Files {
		for _, content := range unpacked(f.Content) {
			i := bytes.Index(content, origin)
			if i < 0 {
				continue
			}
			rest := content[i:]
			if end := bytes.IndexAny(rest, "\"<>) \n"); end > 0 {
				return "http" + string(rest[:end])
			}
		}
	}
	return ""
}
