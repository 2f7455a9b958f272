package indicator

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// maxJSON is the size of a STIX bundle or a MISP event that is read.
const maxJSON = 256 << 20

// stixObject is the part of a STIX 2.1 object that is read here.
type stixObject struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	Name        string `json:"name"`
	Pattern     string `json:"pattern"`
	PatternType string `json:"pattern_type"`
	ValidFrom   string `json:"valid_from"`
	ValidUntil  string `json:"valid_until"`
	Revoked     bool   `json:"revoked"`
}

// mispAttribute is the part of a MISP attribute that is read here.
type mispAttribute struct {
	UUID      string `json:"uuid"`
	Type      string `json:"type"`
	Value     string `json:"value"`
	Comment   string `json:"comment"`
	ToIDs     any    `json:"to_ids"`
	Deleted   any    `json:"deleted"`
	FirstSeen string `json:"first_seen"`
	LastSeen  string `json:"last_seen"`
}

type mispEvent struct {
	UUID      string          `json:"uuid"`
	Info      string          `json:"info"`
	Attribute []mispAttribute `json:"Attribute"`
	Object    []struct {
		Attribute []mispAttribute `json:"Attribute"`
	} `json:"Object"`
}

// document is any of the forms.
type document struct {
	stixObject
	Objects  []stixObject `json:"objects"`
	Event    *mispEvent   `json:"Event"`
	Response []struct {
		Event *mispEvent `json:"Event"`
	} `json:"response"`
}

// json reads STIX bundles, single STIX objects and MISP events, one after
// another or in an array.
func (r *reading) json(br *bufio.Reader) error {
	limited := &io.LimitedReader{R: br, N: maxJSON}
	dec := json.NewDecoder(limited)
	for n := 0; ; n++ {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if limited.N <= 0 {
				return fmt.Errorf("it is larger than %d bytes", maxJSON)
			}
			return fmt.Errorf("offset %d: %w", dec.InputOffset(), err)
		}
		var docs []document
		if raw[0] == '[' {
			err = json.Unmarshal(raw, &docs)
		} else {
			docs = make([]document, 1)
			err = json.Unmarshal(raw, &docs[0])
		}
		if err != nil {
			return fmt.Errorf("it is neither a STIX bundle nor a MISP event: %w", err)
		}
		for i := range docs {
			r.document(&docs[i])
		}
	}
}

func (r *reading) document(d *document) {
	for _, o := range append(d.Objects, d.stixObject) {
		r.stix(o)
	}
	r.misp(d.Event)
	for _, x := range d.Response {
		r.misp(x.Event)
	}
}

// comparison is one "path = 'value'" of a STIX pattern on a file, an address, a
// domain or a URL.
var comparison = regexp.MustCompile(`(?:file:(hashes\.(?:'([^']+)'|"([^"]+)"|([A-Za-z0-9]+))|name)|(ipv4-addr|ipv6-addr|domain-name|url):value)\s*=\s*'((?:[^'\\]|\\.)*)'`)

// stix takes the comparisons of a pattern that stand alone or are joined by OR.
// Anything else (AND, NOT, other objects) needs more than a file, and is told.
func (r *reading) stix(o stixObject) {
	if o.Type != "indicator" || o.Revoked || o.PatternType != "" && o.PatternType != "stix" {
		return
	}
	where := r.name + "#" + o.ID
	rest := comparison.ReplaceAllString(o.Pattern, "")
	rest = strings.ReplaceAll(rest, "OR", "")
	if strings.Trim(rest, "[]() \t\r\n") != "" {
		r.problem(where, fmt.Sprintf("pattern %q: only comparisons of file hashes and names, addresses, domains and URLs joined by OR are used", clip(o.Pattern)))
		return
	}
	base := Indicator{Label: o.Name, ID: o.ID, Source: where}
	base.From, base.Until = date(o.ValidFrom), date(o.ValidUntil)
	for _, m := range comparison.FindAllStringSubmatch(o.Pattern, -1) {
		in := base
		in.Value = strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(m[6])
		in.Kind = Name
		if m[5] != "" {
			in.Kind = observed(m[5])
		}
		if algo := m[2] + m[3] + m[4]; algo != "" {
			if in.Kind = columnKind(strings.ToLower(algo)); in.Kind == "" {
				r.problem(where, fmt.Sprintf("hash %q is not compared", clip(algo)))
				continue
			}
		}
		r.add(in)
	}
}

func (r *reading) misp(e *mispEvent) {
	if e == nil {
		return
	}
	all := e.Attribute
	for _, o := range e.Object {
		all = append(all, o.Attribute...)
	}
	for _, a := range all {
		if a.ToIDs != nil && !truth(a.ToIDs) || truth(a.Deleted) {
			continue
		}
		// "filename|sha256" has both, with a bar between the values too.
		kinds, values := strings.Split(a.Type, "|"), strings.Split(a.Value, "|")
		for i, k := range kinds {
			if i >= len(values) {
				break
			}
			kind := columnKind(strings.ToLower(k))
			if len(kinds) == 1 && k == "filename" {
				kind = Name
			}
			if kind == "" && i == 0 {
				kind = observed(strings.ToLower(k))
			}
			if kind == "" { // a name beside a hash says little; other types are no files
				continue
			}
			label := a.Comment
			if label == "" {
				label = e.Info
			}
			in := Indicator{Kind: kind, Value: values[i], Label: label, ID: a.UUID, Source: r.name + "#" + a.UUID}
			in.From, in.Until = date(a.FirstSeen), date(a.LastSeen)
			r.add(in)
		}
	}
}

// observed is the kind of a STIX object or MISP type that logs show.
func observed(name string) Kind {
	switch name {
	case "ipv4-addr", "ipv6-addr", "ip-src", "ip-dst", "ip", "ipaddress":
		return IP
	case "domain-name", "domain", "hostname":
		return Domain
	case "url", "uri":
		return URL
	}
	return ""
}

// date reads a time or a day; what is neither gives none.
func date(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// truth reads what MISP writes for a truth value: true, "1", 1. Absent is false.
func truth(v any) bool {
	switch x := v.(type) {
	case bool:
		return x
	case string:
		return x == "1" || strings.EqualFold(x, "true")
	case float64:
		return x != 0
	}
	return false
}
