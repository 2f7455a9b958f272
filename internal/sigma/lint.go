package sigma

import (
	"regexp"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

var (
	statuses = []string{"stable", "test", "experimental", "deprecated", "unsupported"}

	// tactics are the names of ATT&CK up to v18 (defense-evasion) and from v19 on
	// (stealth, defense-impairment); both are accepted.
	tactics = []string{
		"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
		"defense-evasion", "stealth", "defense-impairment", "credential-access", "discovery", "lateral-movement",
		"collection", "command-and-control", "exfiltration", "impact",
		"inhibit-response-function", "impair-process-control", "evasion", // of the ICS matrix
	}
	attackRE = regexp.MustCompile(`^(t\d{4}(\.\d{3})?|g\d{4}|s\d{4}|ds\d{4}|m\d{4}|a\d{4}|ta\d{4})$`)
	tagRE    = regexp.MustCompile(`^[a-z0-9_-]+\.[a-z0-9._-]+$`)
	cveRE    = regexp.MustCompile(`^\d{4}-\d{4,}$`)
	uuidRE   = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)
)

// check is the linter of what all kinds of rules have in common. Nothing it
// finds keeps a rule from loading.
func (m *metaParser) check(doc *yamldoc.Node) {
	r := m.r
	at := func(key string) *yamldoc.Node {
		if n := lookup(doc, key); n != nil {
			return n
		}
		return doc
	}
	switch {
	case r.Title == "":
		m.note(doc, "no-title", "add title: TEXT", "no title")
	case len(r.Title) > 256:
		m.note(at("title"), "bad-title", "shorten it", "a title of %d characters, the limit is 256", len(r.Title))
	}
	if r.ID != "" && !uuidRE.MatchString(r.ID) {
		m.note(at("id"), "bad-id", "use a random UUID", "id %q is not a UUID", r.ID)
	}
	if r.Status != "" && !contains(statuses, r.Status) {
		m.note(at("status"), "bad-status", "use stable, test, experimental, deprecated or unsupported", "status %q", r.Status)
	}
	for _, d := range []struct{ key, text string }{{"date", r.Date}, {"modified", r.Modified}} {
		if d.text == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, d.text); err != nil {
			m.note(at(d.key), "bad-date", "write it as 2026-01-31", "%s %q is not a date", d.key, d.text)
		}
	}
	if len(r.Description) > 65535 {
		m.note(at("description"), "bad-description", "shorten it", "a description of %d characters, the limit is 65535", len(r.Description))
	}
	for i, t := range r.Tags {
		n := at("tags")
		if n.Kind == yamldoc.List && i < len(n.Content) {
			n = n.Content[i]
		}
		m.checkTag(n, t)
	}
}

func (m *metaParser) checkTag(n *yamldoc.Node, tag string) {
	if !tagRE.MatchString(tag) {
		m.note(n, "bad-tag", "write namespace.name in lower case", "tag %q", tag)
		return
	}
	space, name := tag[:indexDot(tag)], tag[indexDot(tag)+1:]
	switch space {
	case "attack":
		if !attackRE.MatchString(name) && !slices.Contains(tactics, name) {
			m.note(n, "bad-attack-tag", nearest(name, tactics), "tag %q is neither a tactic nor a technique, group or software id of ATT&CK", tag)
		}
	case "cve":
		if !cveRE.MatchString(name) {
			m.note(n, "bad-tag", "write cve.2021-44228", "tag %q", tag)
		}
	case "tlp":
		if !contains([]string{"red", "amber", "amber-strict", "green", "clear", "white"}, name) {
			m.note(n, "bad-tag", "use tlp.red, amber, amber-strict, green or clear", "tag %q", tag)
		}
	case "detection":
		if !contains([]string{"dfir", "emerging-threats", "threat-hunting"}, name) {
			m.note(n, "bad-tag", "use detection.dfir, emerging-threats or threat-hunting", "tag %q", tag)
		}
	case "car", "d3fend", "stp":
	default:
		m.note(n, "unknown-namespace", "the specification knows attack, car, cve, d3fend, detection, stp and tlp", "tag %q", tag)
	}
}

func indexDot(s string) int {
	for i := range len(s) {
		if s[i] == '.' {
			return i
		}
	}
	return len(s) - 1
}
