package strftime

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestAgainstDate(t *testing.T) {
	if out, err := exec.Command("date", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU coreutils") {
		t.Skip("no GNU date here")
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	for _, form := range []string{
		"%Y-%m-%d %H:%M:%S", "%a %A %b %B %h", "%c", "%D %F %T %R %r", "%e|%k|%l|%I|%p|%P", "%j %U %W %V %G %g %u %w %q", "%s", "%y %C", "%Z %z %:z",
		"%-d %_d %05d %^a %#Z %-H", "%n%t%%", "%Q %", "%10Y|%3d", "%x %X",
	} {
		c := exec.Command("date", "-u", "-d", "@"+Format("%s", at), "+"+form)
		c.Env = []string{"LC_ALL=C"}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := Format(form, at) + "\n"; got != string(out) {
			t.Errorf("%q gives %q, date gives %q", form, got, out)
		}
	}
}
