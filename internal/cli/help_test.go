//go:build unix

package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that a person sees tells what its exit status means, with an
// example that names it.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	root := newRoot(&globals{IO: IO{Out: &out, Err: &out}})
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) {
			if !strings.Contains(c.Long, "Exit status: 0 ") || !strings.Contains(c.Long, "64 wrong usage") {
				t.Errorf("the help does not tell the exit statuses:\n%s", c.Long)
			}
			if c != root && !strings.Contains(c.Example, c.CommandPath()) {
				t.Errorf("no example of %q:\n%s", c.CommandPath(), c.Example)
			}
			if c.Short == "" {
				t.Error("no short description")
			}
		})
		for _, u := range c.Commands() {
			walk(u)
		}
	}
	walk(root)
}

func TestJSONText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"a":"b"}`, `{"a":"b"}`},
		{`{"a":"bläh € 😀"}`, `{"a":"bläh € 😀"}`},
		{"{\"a\":\"\x7f\u009b31m\u202ex\u200b\"}", `{"a":"\u007f\u009b31m\u202ex\u200b"}`},
		{"{\"a\":\"\xff\U000e0041\"}", `{"a":"\ufffd\udb40\udc41"}`},
		{"", ""},
	} {
		if got := string(jsonText([]byte(tt.in))); got != tt.want {
			t.Errorf("jsonText(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
