package indicator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// found are the kinds of what fits a value.
func found(s *Set, value string, at time.Time) string {
	var kinds []string
	s.Value([]byte(value), at, func(h Hit) { kinds = append(kinds, string(h.Kind)) })
	slices.Sort(kinds)
	return strings.Join(kinds, " ")
}

func TestValues(t *testing.T) {
	s, problems := read(t, "ip,domain,url,sha256,label\n192.0.2.7,Evil.example,http://evil.example/a,"+sha256EICAR+",x\n198.51.100.0/24,,,,net\n2001:db8::/32,,,,six\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for value, want := range map[string]string{
		"192.0.2.7": "ip", "192.0.2.8": "", "::ffff:192.0.2.7": "ip", "198.51.100.9": "ip", "2001:db8::1": "ip", "2001:db9::1": "",
		"evil.EXAMPLE.": "domain", "www.evil.example": "", "http://evil.example/a": "domain url", "http://evil.example/b": "domain",
		"http://192.0.2.7:80/x": "ip", sha256EICAR: "sha256", strings.ToUpper(sha256EICAR): "sha256",
		"MD5=" + strings.Repeat("0", 32) + ",SHA256=" + sha256EICAR: "sha256", "": "", "%zz://": "",
	} {
		if got := found(s, value, time.Time{}); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	if s.Network() != 5 {
		t.Errorf("%d of networks", s.Network())
	}
}

// TestValidityOfValues: what was seen at a time fits the window of that time.
func TestValidityOfValues(t *testing.T) {
	for name, text := range map[string]string{
		"stix": `{"type":"indicator","id":"indicator--2","pattern":"[ipv4-addr:value = '192.0.2.7']","valid_from":"2024-01-01T00:00:00Z","valid_until":"2025-01-01T00:00:00Z"}`,
		"csv":  "ip,valid_from,valid_until\n192.0.2.7,2024-01-01,2025-01-01\n",
		"misp": `{"Event":{"Attribute":[{"type":"ip-dst","value":"192.0.2.7","to_ids":true,"first_seen":"2024-01-01","last_seen":"2025-01-01"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, problems := read(t, text)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for year, want := range map[int]string{2023: "", 2024: "ip", 2025: ""} {
				if got := found(s, "192.0.2.7", time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)); got != want {
					t.Errorf("%d: %q", year, got)
				}
			}
		})
	}
}

// TestPlainNetworks: lists of addresses and URLs have one a line.
func TestPlainNetworks(t *testing.T) {
	s, problems := read(t, "# bad\n192.0.2.7 scanner\n198.51.100.0/24\nhttps://evil.example/x;drop\nevil.example\n0.0.0.0/0\n")
	if s.Network() != 3 || len(problems) != 2 {
		t.Errorf("%d, %v", s.Network(), problems)
	}
}
