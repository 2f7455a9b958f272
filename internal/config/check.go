package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// types are the decoys that exist.
var types = []string{"ssh", "telnet", "http", "https", "ldap", "mysql", "postgres", "redis"}

// ofDebian are the decoys that claim a version which only Debian 12 has.
var ofDebian = []string{"http", "https", "ldap", "mysql", "postgres", "redis"}

// misfit says why a decoy of a type does not stand on a host whose persona is
// called template ("" = it does). A template's name begins with its family.
func misfit(kind, template string) (why, remedy string) {
	busybox := strings.HasPrefix(template, "busybox-")
	switch {
	case slices.Contains(ofDebian, kind) && !strings.HasPrefix(template, "debian-"):
		return fmt.Sprintf("a decoy of type %s speaks as Debian 12's server does, which %q would not", kind, template), "put it on a host with the persona debian-server"
	case kind == "telnet" && !busybox:
		return fmt.Sprintf("a telnet decoy speaks as BusyBox does, which %q would not", template), "put it on a host with the persona busybox-router"
	case kind == "ssh" && busybox:
		return fmt.Sprintf("an ssh decoy speaks as OpenSSH does, which %q would not (it would run dropbear)", template), "use type: telnet on this host, or ssh on a host with another persona"
	}
	return "", ""
}

type checker struct {
	doc    *yamldoc.Document
	faults yamldoc.Faults
}

func (k *checker) say(text, remedy string, path ...any) {
	k.faults = append(k.faults, k.doc.Fault(text, remedy, path...))
}

// oneOf checks a word and returns it with the default filled in.
func (k *checker) oneOf(value string, words []string, path ...any) {
	if value != "" && !slices.Contains(words, value) {
		k.say(fmt.Sprintf("unknown word %q", value), "use one of: "+strings.Join(words, ", "), path...)
	}
}

func (k *checker) duration(d, low, high time.Duration, path ...any) {
	if d < low || d > high {
		k.say(fmt.Sprintf("%s is outside %s to %s", d, low, high), "write a duration such as 15m or 720h", path...)
	}
}

func (c *Config) check(doc *yamldoc.Document, templates []string) yamldoc.Faults {
	k := &checker{doc: doc}
	names, listens := map[string]bool{}, map[string]bool{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if !nameRE.MatchString(h.Name) {
			k.say(fmt.Sprintf("host name %q", h.Name), "use 1 to 40 lower-case letters, digits and '-'", "hosts", i, "name")
		}
		if names[h.Name] {
			k.say(fmt.Sprintf("host %q stands twice", h.Name), "give each host its own name", "hosts", i, "name")
		}
		names[h.Name] = true
		h.check(k, i, templates)
		for j, d := range h.Decoys {
			k.listen(d, listens, "hosts", i, "decoys", j)
			if why, remedy := misfit(d.Type, h.Persona); why != "" {
				k.say(why, remedy, "hosts", i, "decoys", j, "type")
			}
			k.ssh(d, "hosts", i, "decoys", j)
		}
		h.defaults()
	}
	c.checkSources(k, listens)
	if c.Limits.Connections.PerSource < 1 || c.Limits.Connections.Total < 1 {
		k.say("connection limits must be at least 1", "", "limits", "connections")
	}
	k.duration(c.Limits.Session, time.Minute, 7*24*time.Hour, "limits", "session")
	k.duration(c.Limits.Idle, 10*time.Second, 24*time.Hour, "limits", "idle")
	k.duration(c.Retention.Raw, 24*time.Hour, 3650*24*time.Hour, "retention", "raw")
	for name, d := range map[string]time.Duration{"recordings": c.Retention.Recordings, "captures": c.Retention.Captures} {
		if d != 0 {
			k.duration(d, 24*time.Hour, 3650*24*time.Hour, "retention", name)
		}
	}
	k.duration(c.Retention.Cases, 24*time.Hour, 3650*24*time.Hour, "retention", "cases")
	k.duration(c.Visitors.Keep, 0, 365*24*time.Hour, "visitors", "keep")
	c.Rules.check(k)
	c.Respond.check(k)
	c.checkNotify(k)
	k.oneOf(c.Record.Passwords, []string{"hmac", "full", "none"}, "record", "passwords")
	if c.Journal.Limit < 16<<20 {
		k.say("the journal needs at least 16MiB", "", "journal", "limit")
	}
	if u, err := url.Parse(c.EventLog.URL); c.EventLog.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		k.say(fmt.Sprintf("%q is not the URL of an event log", c.EventLog.URL), "write one such as http://127.0.0.1:9428, or leave it away for the embedded one", "event_log", "url")
	}
	if _, err := netip.ParseAddrPort(c.Console.Listen); err != nil {
		k.say(fmt.Sprintf("%q is not an address with a port", c.Console.Listen), `write "127.0.0.1:9443"`, "console", "listen")
	}
	return k.faults
}

func (r *Rules) check(k *checker) {
	k.oneOf(r.MinLevel, []string{"informational", "low", "medium", "high", "critical"}, "rules", "min_level")
	if r.Own && len(r.Dirs) == 0 {
		k.say("own: true without dirs leaves no rule", "name a directory, or take it away", "rules", "own")
	}
	if r.LookBack < 0 {
		k.say("look_back must not be negative", "write how far back, such as 168h; 0 means not at all", "rules", "look_back")
	}
	for i, s := range r.Suppress {
		if s.Reason == "" {
			k.say("a suppression needs a reason", "write reason: why it means nothing here", "rules", "suppress", i)
		}
		if s.Rule == "" && !s.Source.IsValid() && s.Field == "" {
			k.say("this would suppress everything", "name a rule, a source or a field with its value", "rules", "suppress", i)
		}
		if (s.Field == "") != (s.Value == "") {
			k.say("field and value belong together", "write both", "rules", "suppress", i)
		}
	}
}

func (h *Host) check(k *checker, i int, templates []string) {
	if !slices.Contains(templates, h.Persona) {
		k.say(fmt.Sprintf("unknown persona %q", h.Persona), "use one of: "+strings.Join(templates, ", "), "hosts", i, "persona")
	}
	if len(h.Decoys) == 0 {
		k.say(fmt.Sprintf("host %q has no decoys", h.Name), `add  decoys: [{type: ssh, listen: "127.0.0.1:2222"}]`, "hosts", i)
	}
	for j, a := range h.Login.Accept {
		if a.User == "" {
			k.say("a credential without a user", "write {user: root, password: ...}", "hosts", i, "login", "accept", j)
		}
	}
	h.Login.tokens(k, i)
	if h.Login.After < 0 {
		k.say("after must not be negative", "0 means never", "hosts", i, "login", "after")
	}
	if h.Login.None && (len(h.Login.Accept) > 0 || h.Login.After > 0) {
		k.say("none: true contradicts accept and after", "remove one of them", "hosts", i, "login")
	}
	k.oneOf(h.Downloads, []string{"serve", "timeout", "refuse", "not-found"}, "hosts", i, "downloads")
	k.oneOf(h.Tunnels, []string{"refuse", "accept"}, "hosts", i, "tunnels")
}

// tokens checks the planted credentials of host i.
func (l *Login) tokens(k *checker, i int) {
	seen := map[[2]string]bool{}
	for j, t := range l.Tokens {
		at := []any{"hosts", i, "login", "tokens", j}
		if t.User == "" || t.Password == "" {
			k.say("a token without user or password", "write {user: backup, password: ..., id: share}", at...)
		}
		if t.Password == "*" {
			k.say("a token that any password would be", "write the password that is planted", at...)
		}
		if !nameRE.MatchString(t.ID) {
			k.say(fmt.Sprintf("token id %q", t.ID), "use 1 to 40 lower-case letters, digits and '-'", at...)
		}
		key := [2]string{t.User, string(t.Password)}
		if seen[key] {
			k.say("this user and password are a token already", "plant another password", at...)
		}
		seen[key] = true
		for _, a := range l.Accept {
			if a.User == t.User && a.Password == t.Password {
				k.say("this user and password stand under accept, too", "write admit: true here and take it away there", at...)
			}
		}
		if l.None && t.Admit {
			k.say("none: true contradicts admit: true", "remove one of them", at...)
		}
	}
}

func (k *checker) listen(d Decoy, seen map[string]bool, path ...any) {
	k.oneOf(d.Type, types, append(path, "type")...)
	if d.Type == "" {
		k.say("a decoy without a type", "use one of: "+strings.Join(types, ", "), path...)
	}
	ap, err := netip.ParseAddrPort(d.Listen)
	if err != nil {
		k.say(fmt.Sprintf("%q is not an address with a port", d.Listen), `write "127.0.0.1:2222" or "[::]:22"`, append(path, "listen")...)
		return
	}
	if seen[ap.String()] && ap.Port() != 0 {
		k.say(fmt.Sprintf("%s is taken by another decoy of this file", ap), "choose another port", append(path, "listen")...)
	}
	seen[ap.String()] = true
}

// ssh checks what stands for options of sshd_config.
func (k *checker) ssh(d Decoy, path ...any) {
	if d.Grace != 0 {
		k.duration(d.Grace, time.Second, time.Hour, append(path, "login_grace")...)
	}
	if d.MaxTries < 0 || d.MaxTries > 100 {
		k.say("max_auth_tries is outside 1 to 100", "OpenSSH's default is 6", append(path, "max_auth_tries")...)
	}
	if _, _, _, err := d.Startups(); err != nil {
		k.say(err.Error(), "", append(path, "max_startups")...)
	}
}
