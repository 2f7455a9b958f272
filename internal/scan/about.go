package scan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Facts is what a rule says of itself, in the words of this program. Levels
// are Sigma's: informational, low, medium, high, critical; empty where the
// rule does not say.
type Facts struct {
	Level, Description, Author, Reference, License string
	Techniques                                     []string // ATT&CK: "T1105"
}

const (
	maxFact       = 1024 // bytes of one text
	maxTechniques = 16
)

var techniqueRE = regexp.MustCompile(`\bT[0-9]{4}(?:\.[0-9]{3})?\b`)

// About reads the meta entries and tags of a finding as rule sets of the field
// write them: level or severity as a word, else score (0 to 100) as THOR and
// LOKI do; ATT&CK ids in technique, mitre* and attack* entries and in tags.
func About(f Finding) Facts {
	var a Facts
	score := int64(-1)
	for _, m := range f.Meta {
		text := fmt.Sprint(m.Value)
		text = text[:min(len(text), maxFact)]
		name := strings.ToLower(m.Name)
		switch name {
		case "level", "severity", "threat_level":
			if w := levelWord(text); w != "" {
				a.Level = w
			}
		case "score":
			if n, ok := m.Value.(int64); ok {
				score = n
			}
		case "description", "desc":
			a.Description = text
		case "author":
			a.Author = text
		case "reference", "ref":
			if a.Reference == "" {
				a.Reference = text
			}
		case "license", "licence":
			a.License = text
		}
		if strings.HasPrefix(name, "technique") || strings.HasPrefix(name, "mitre") || strings.HasPrefix(name, "attack") {
			a.technique(text)
		}
	}
	for _, t := range f.Tags {
		a.technique(strings.ReplaceAll(t, "_", "."))
	}
	if a.Level == "" && score >= 0 {
		a.Level = scoreWord(score)
	}
	return a
}

func (a *Facts) technique(text string) {
	for _, id := range techniqueRE.FindAllString(strings.ToUpper(text), maxTechniques) {
		if len(a.Techniques) < maxTechniques && !slices.Contains(a.Techniques, id) {
			a.Techniques = append(a.Techniques, id)
		}
	}
}

func levelWord(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "low", "medium", "high", "critical", "informational":
		return s
	case "info":
		return "informational"
	}
	return ""
}

func scoreWord(n int64) string {
	switch {
	case n >= 90:
		return "critical"
	case n >= 70:
		return "high"
	case n >= 50:
		return "medium"
	}
	return "low"
}
