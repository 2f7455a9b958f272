package clamd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve is a clamd that answers as the real one does: MARK is what it knows.
// It says StreamMaxLength at limit bytes.
func serve(t *testing.T, limit int, answer func(command string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				command, err := r.ReadString(0)
				if err != nil {
					return
				}
				command = strings.TrimSuffix(command, "\x00")
				if command == "zINSTREAM" {
					io.WriteString(c, stream(r, limit)+"\x00")
					return
				}
				io.WriteString(c, answer(command))
			}()
		}
	}()
	return path
}

func stream(r io.Reader, limit int) string {
	var all bytes.Buffer
	for {
		var n uint32
		if err := binary.Read(r, binary.BigEndian, &n); err != nil || n == 0 {
			break
		}
		if _, err := io.CopyN(&all, r, int64(n)); err != nil {
			break
		}
		if all.Len() > limit {
			return "INSTREAM size limit exceeded. ERROR"
		}
	}
	if bytes.Contains(all.Bytes(), []byte("MARK")) {
		return "stream: Test.Mark-1 FOUND"
	}
	return "stream: OK"
}

func TestStream(t *testing.T) {
	c, err := New(serve(t, 200<<10, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 150<<10)
	for name, tc := range map[string]struct {
		data []byte
		want string
		err  error
	}{
		"clean":      {[]byte("hello"), "", nil},
		"empty":      {nil, "", nil},
		"found":      {[]byte("a MARK b"), "Test.Mark-1", nil},
		"two blocks": {append(large, "MARK"...), "Test.Mark-1", nil},
		"too large":  {append(large, large...), "", ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Stream(t.Context(), bytes.NewReader(tc.data), int64(len(tc.data)))
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if _, err := c.Stream(t.Context(), bytes.NewReader([]byte("short")), 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that shrinks: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want, err string }{
		"ok":              {"/x/y: OK\x00", "", ""},
		"found":           {"/x/a: b: Win.Test.EICAR_HDB-1 FOUND\x00", "Win.Test.EICAR_HDB-1", ""},
		"without a path":  {"Odd FOUND\x00", "Odd", ""},
		"error":           {"/x/y: File path check failure: Permission denied. ERROR\x00", "", "Permission denied"},
		"nothing":         {"", "", "no answer"},
		"without an end":  {"/x/y: OK", "", ""},
		"without measure": {strings.Repeat("x", 1<<20), "", "clamd answers"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := New("unix:"+serve(t, 0, func(string) string { return tc.answer }), 0)
			got, err := c.File(t.Context(), "/x/y")
			if got != tc.want || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	c, _ := New("/nosuch/socket", 0)
	if _, err := c.File(t.Context(), "a\x00b"); err == nil {
		t.Error("a name with an end in it was sent")
	}
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("a socket that is not there answers")
	}
	if _, err := New("nonsense", 0); err == nil {
		t.Error("nonsense is an address")
	}
}

func TestVersion(t *testing.T) {
	for answer, want := range map[string]Version{
		"ClamAV 1.4.3/27700/Mon Jul 14 08:26:20 2025\x00": {"ClamAV 1.4.3", "27700", time.Date(2025, 7, 14, 8, 26, 20, 0, time.UTC)},
		"ClamAV 1.4.6\x00":                 {Engine: "ClamAV 1.4.6"},
		"ClamAV 1.4.6/27700/yesterday\x00": {Engine: "ClamAV 1.4.6", Signatures: "27700"},
	} {
		c, _ := New(serve(t, 0, func(string) string { return answer }), 0)
		if got, err := c.Version(t.Context()); got != want || err != nil {
			t.Errorf("%q: %+v, %v", answer, got, err)
		}
	}
	c, _ := New(serve(t, 0, func(string) string { return "220 mail\x00" }), 0)
	if v, err := c.Version(t.Context()); err == nil {
		t.Errorf("a mail server is %+v", v)
	}
}

func TestSilenceEnds(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	c, _ := New(serve(t, 0, func(string) string { <-wait; return "" }), 20*time.Millisecond)
	if _, err := c.Version(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// FuzzVerdict wants a signature without spaces around it, and none with an error.
func FuzzVerdict(f *testing.F) {
	for _, s := range []string{"stream: OK", "stream: X FOUND", "x ERROR", " FOUND", ": FOUND", "a: b: c FOUND"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := verdict(s)
		if err != nil && got != "" || !strings.Contains(s, got) {
			t.Errorf("%q gives %q, %v", s, got, err)
		}
	})
}
