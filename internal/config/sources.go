package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Source is a stream of log lines. docs/guides/sources.md has examples.
type Source struct {
	Name string `yaml:"name"` // lapwing.source of what comes of it; the type unless set
	Type string `yaml:"type"` // file, evtx, journald, syslog, webhook, netflow

	// Of file and evtx: names of files, with *, ? and […]; Path is one more.
	Path  string   `yaml:"path"`
	Paths []string `yaml:"paths"`
	From  string   `yaml:"from"` // end, start: where a new source begins

	Format string `yaml:"format"` // of the lines; found out unless set

	// Of journald.
	Dir         string   `yaml:"dir"` // of its files; found unless set
	Units       []string `yaml:"units"`
	Identifiers []string `yaml:"identifiers"`

	// Of syslog, webhook, netflow.
	Listen    string   `yaml:"listen"`
	Transport []string `yaml:"transport"` // of syslog: udp, tcp, tls; udp and tcp unless set
	Cert      string   `yaml:"cert"`      // file with the certificate, for tls and https
	Key       string   `yaml:"key"`       // file with its key
	ClientCA  string   `yaml:"client_ca"` // file with the authority that clients' certificates must be of
	TokenFile string   `yaml:"token_file"`
	// Connections open at once; 0: 16 of one address, 256 in all.
	Connections Connections `yaml:"connections"`
	Rate        int         `yaml:"rate"` // of webhook: requests of one address in a second, 0: 50
	// Silence is how long a source may be silent before an alert; 0: for longer than
	// it ever was.
	Silence time.Duration `yaml:"silence"`
}

// Access says what is known of one's own machines to who judges their logs.
type Access struct {
	Geo             []string  `yaml:"geo"`              // MMDB files
	Inside          []Network `yaml:"inside"`           // own networks; the private ones unless set
	Servers         []Network `yaml:"servers"`          // hosts that serve
	ServiceAccounts []string  `yaml:"service_accounts"` // users that no person logs in as
}

// sourceTypes are the types of sources, with the keys that each knows beside
// name, type, format and silence.
var sourceTypes = map[string][]string{
	"file":     {"path", "paths", "from"},
	"journald": {"dir", "units", "identifiers", "from"},
	"syslog":   {"listen", "transport", "cert", "key", "client_ca", "connections"},
	"webhook":  {"listen", "cert", "key", "client_ca", "token_file", "connections", "rate"},
	"netflow":  {"listen"},
}

// SourceFormats are the words of format: how lines are read.
var sourceFormats = []string{"syslog", "json", "access", "weberror", "proxy", "auditd", "dns", "w3c", "zeek", "xml", "text", "mysql", "postgresql", "vsftpd", "dovecot", "proftpd", "exim"}

const maxSources = 64

// Files are the patterns of a source's files.
func (s *Source) Files() []string {
	if s.Path == "" {
		return s.Paths
	}
	return append([]string{s.Path}, s.Paths...)
}

// Secure tells whether a source's listener speaks TLS.
func (s *Source) Secure() bool { return s.Cert != "" }

// given are the keys of s that are set.
func (s *Source) given() []string {
	var out []string
	for key, is := range map[string]bool{
		"path": s.Path != "", "paths": len(s.Paths) > 0, "from": s.From != "", "dir": s.Dir != "", "units": len(s.Units) > 0,
		"identifiers": len(s.Identifiers) > 0, "listen": s.Listen != "", "transport": len(s.Transport) > 0, "cert": s.Cert != "",
		"key": s.Key != "", "client_ca": s.ClientCA != "", "token_file": s.TokenFile != "",
		"connections": s.Connections != (Connections{}), "rate": s.Rate != 0,
	} {
		if is {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// checkSources checks the sources and fills in their names. listens are the
// addresses that decoys have.
func (c *Config) checkSources(k *checker, listens map[string]bool) {
	if len(c.Sources) > maxSources {
		k.say(fmt.Sprintf("%d sources, the limit is %d", len(c.Sources), maxSources), "let one source follow several paths", "sources")
	}
	names := map[string]bool{}
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Name == "" {
			s.Name = s.Type
		}
		if !nameRE.MatchString(s.Name) {
			k.say(fmt.Sprintf("source name %q", s.Name), "use 1 to 40 lower-case letters, digits and '-'", "sources", i)
		}
		if names[s.Name] {
			k.say(fmt.Sprintf("source %q stands twice", s.Name), "give each source its own name", "sources", i)
		}
		names[s.Name] = true
		s.check(k, i)
		if s.Listen != "" {
			s.listens(k, i, listens)
		}
	}
}

func (s *Source) check(k *checker, i int) {
	keys, ok := sourceTypes[s.Type]
	if !ok {
		types := make([]string, 0, len(sourceTypes))
		for t := range sourceTypes {
			types = append(types, t)
		}
		slices.Sort(types)
		k.say(fmt.Sprintf("source type %q", s.Type), "use one of: "+strings.Join(types, ", "), "sources", i)
		return
	}
	for _, key := range s.given() {
		if !slices.Contains(keys, key) {
			k.say(fmt.Sprintf("%q means nothing for a source of type %s", key, s.Type), "it knows: "+strings.Join(keys, ", "), "sources", i, key)
		}
	}
	k.oneOf(s.From, []string{"end", "start"}, "sources", i, "from")
	k.oneOf(s.Format, sourceFormats, "sources", i, "format")
	if s.Silence != 0 {
		k.duration(s.Silence, time.Minute, 366*24*time.Hour, "sources", i, "silence")
	}
	switch s.Type {
	case "file", "evtx":
		if len(s.Files()) == 0 {
			k.say("a source of files without a path", "write path: /var/log/auth.log", "sources", i)
		}
	case "syslog", "webhook", "netflow":
		s.receiver(k, i)
	}
}

// receiver checks what a source that listens needs.
func (s *Source) receiver(k *checker, i int) {
	for _, t := range s.Transport {
		k.oneOf(t, []string{"udp", "tcp", "tls"}, "sources", i, "transport")
	}
	secure := slices.Contains(s.Transport, "tls") || s.Type == "webhook" && s.Secure()
	if secure && (s.Cert == "" || s.Key == "") {
		k.say("TLS needs a certificate and its key", "name both: cert: and key:", "sources", i)
	}
	if !secure && (s.Cert != "" || s.Key != "" || s.ClientCA != "") {
		k.say("a certificate without TLS", "write transport: [tls] (syslog), or both cert: and key:", "sources", i)
	}
	if slices.Contains(s.Transport, "tls") && slices.Contains(s.Transport, "tcp") {
		k.say("tcp and tls on one port", "make two sources of it", "sources", i, "transport")
	}
	if s.Listen == "" {
		k.say("a source that listens needs an address", `write listen: "127.0.0.1:5514"`, "sources", i)
	}
	if s.Type == "webhook" && s.TokenFile == "" {
		k.say("a webhook without a token", "write token_file: with the path of a file that holds one of at least 16 bytes", "sources", i)
	}
	if s.Connections.PerSource < 0 || s.Connections.Total < 0 || s.Rate < 0 {
		k.say("limits must not be negative", "0 means the default", "sources", i)
	}
}

// listens checks the address of a source that listens.
func (s *Source) listens(k *checker, i int, seen map[string]bool) {
	ap, err := netip.ParseAddrPort(s.Listen)
	if err != nil {
		k.say(fmt.Sprintf("%q is not an address with a port", s.Listen), `write "127.0.0.1:5514" or "[::]:6514"`, "sources", i, "listen")
		return
	}
	for _, proto := range s.Protocols() {
		at := ap.String()
		if proto == "udp" {
			at += "/udp"
		}
		if seen[at] && ap.Port() != 0 {
			k.say(fmt.Sprintf("%s is taken by another part of this file", ap), "choose another port", "sources", i, "listen")
		}
		seen[at] = true
	}
}

// Protocols are those whose ports a source listens on, udp and tcp.
func (s *Source) Protocols() []string {
	switch s.Type {
	case "webhook":
		return []string{"tcp"}
	case "netflow":
		return []string{"udp"}
	case "syslog":
		if len(s.Transport) == 0 {
			return []string{"udp", "tcp"}
		}
		var out []string
		for _, t := range s.Transport {
			if t == "tls" {
				t = "tcp"
			}
			out = append(out, t)
		}
		return out
	}
	return nil
}

// resolveSources makes the names of sources' files absolute. What is followed
// need not be there yet; what it takes to listen must.
func (c *Config) resolveSources(doc *yamldoc.Document, base string) yamldoc.Faults {
	k := &checker{doc: doc}
	for i := range c.Sources {
		s := &c.Sources[i]
		for _, p := range append([]*string{&s.Path, &s.Dir}, pointers(s.Paths)...) {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(base, *p)
			}
		}
		for _, pattern := range s.Files() {
			if _, err := filepath.Match(pattern, ""); err != nil {
				k.say(fmt.Sprintf("pattern %q is broken", pattern), "close its [ with ]", "sources", i)
			}
			if st, err := os.Stat(pattern); err == nil && st.IsDir() {
				k.say(fmt.Sprintf("%q is a directory", pattern), "name its files, such as "+filepath.Join(pattern, "*.log"), "sources", i)
			}
		}
	}
	return k.faults
}

func pointers(list []string) []*string {
	out := make([]*string, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
