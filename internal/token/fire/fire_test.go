package fire

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/token"
)

// TestRequests: what is sent has what makes the token known, taken out of its
// files and not out of the register.
func TestRequests(t *testing.T) {
	m, err := token.NewMaster(bytes.Repeat([]byte{7}, token.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	x := token.NewIndex(m)
	id := token.ID{1, 2, 3}
	for kind, give := range map[string]func(*http.Request) (token.ID, bool){
		"netrc":    password(x),
		"git":      password(x),
		"pip":      password(x),
		"docker":   password(x),
		"npmrc":    func(r *http.Request) (token.ID, bool) { return x.Password(r.Header.Get("Authorization")) },
		"html":     path(x),
		"docx":     path(x),
		"xlsx":     path(x),
		"pdf":      path(x),
		"bookmark": path(x),
		"url":      path(x),
	} {
		t.Run(kind, func(t *testing.T) {
			row := &token.Token{ID: id, Kind: kind, Host: "web01", Owner: "anna", Created: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), Door: token.Door{Decoy: "files", Type: "http", Address: "192.0.2.1:8080"}}
			made, err := m.Make(row, token.Surroundings{})
			if err != nil {
				t.Fatal(err)
			}
			s := Shot{Token: row, Made: made}
			r, err := s.request()
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := give(r); !ok || got != id {
				t.Errorf("%s %s, %v is of %s, %v", r.Method, r.URL, r.Header, got, ok)
			}
			s.Made = token.Made{}
			if r, err := s.request(); err == nil {
				if got, ok := give(r); ok {
					t.Errorf("without its files it is of %s", got)
				}
			}
		})
	}
}

func password(x *token.Index) func(*http.Request) (token.ID, bool) {
	return func(r *http.Request) (token.ID, bool) {
		_, word, _ := r.BasicAuth()
		return x.Password(word)
	}
}

func path(x *token.Index) func(*http.Request) (token.ID, bool) {
	return func(r *http.Request) (token.ID, bool) { return x.Path(r.URL.Path) }
}

func TestNoWay(t *testing.T) {
	s := Shot{Token: &token.Token{Kind: "env", Door: token.Door{Type: "mysql"}}, Made: token.Made{Files: []token.File{{Path: ".env.bak", Content: []byte("DATABASE_URL=mysql://a:b@c:1/d\n")}}}}
	if err := s.env(); !errors.Is(err, ErrNoWay) {
		t.Errorf("%v", err)
	}
	if got := string(tlv(0x04, []byte(strings.Repeat("x", 200)))); len(got) != 204 || got[:4] != "\x04\x82\x00\xc8" {
		t.Errorf("a long element begins %q", got[:4])
	}
}
