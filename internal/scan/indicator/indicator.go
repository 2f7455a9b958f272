// Package indicator knows files by what others said of them: hash lists (MD5,
// SHA-1, SHA-256), likeness (TLSH, ssdeep), names and paths; and records of logs
// by hashes, paths, addresses, domains and URLs in them. They are read from plain
// lists, CSV, hashdeep, LOKI lists, STIX 2.1 bundles and MISP events.
package indicator

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

// Kind is what an indicator compares.
type Kind string

// The kinds.
const (
	MD5    Kind = "md5"
	SHA1   Kind = "sha1"
	SHA256 Kind = "sha256"
	TLSH   Kind = "tlsh"
	SSDeep Kind = "ssdeep"
	Name   Kind = "name" // the last part of the path, without regard to case
	Path   Kind = "path" // a regular expression (RE2) on the path with forward slashes
	// Of logs, not of files:
	IP     Kind = "ip" // an address or a network
	Domain Kind = "domain"
	URL    Kind = "url"
)

// errKnown is for a value that is there already.
var errKnown = errors.New("known")

// Indicator is one thing that is known of a bad file.
type Indicator struct {
	Kind   Kind
	Value  string // as read; hashes in lower case
	Label  string // what the source calls it; may be empty
	ID     string // the source's own id: a STIX id, a MISP UUID
	Source string // "list.txt:17"
	From   time.Time
	Until  time.Time // zero: no end
}

// Problem is a line that could not be used.
type Problem struct { //nolint:errname // a line of a report
	Source string // "list.txt:17"
	Text   string
}

// Error is the problem for a person.
func (p Problem) Error() string { return p.Source + ": " + p.Text }

// File is what is known of the file in question. Empty fields are not compared.
type File struct {
	Path              string
	MD5, SHA1, SHA256 string // hex
	TLSH, SSDeep      string
}

// Hit is an indicator that fits.
type Hit struct {
	Indicator
	Likeness int // of TLSH and ssdeep: 100 is the same, 0 unlike; else 100
}

// Limits of a Set, against lists that are none.
const (
	MaxIndicators = 5_000_000
	MaxSimilar    = 20_000 // TLSH and ssdeep: each is compared with each file
	MaxPatterns   = 10_000 // regular expressions
	MaxLine       = 64 << 10
	maxProblems   = 1000
)

// Thresholds of likeness. TLSH: distances above maxTLSH are chance (Oliver et
// al., 2013, give 1 % false positives at 30); ssdeep: scores below minSSDeep are.
const (
	maxTLSH   = 30
	minSSDeep = 70
)

// Set is a collection of indicators. Reading is not safe for concurrent use,
// matching is.
type Set struct {
	hashes   map[string]int32 // raw bytes of the hash -> index
	names    map[string]int32
	similar  []int32
	patterns []pattern
	net      network
	all      []Indicator
}

type pattern struct {
	re *regexp.Regexp
	n  int32
}

// New makes an empty Set.
func New() *Set { return &Set{hashes: map[string]int32{}, names: map[string]int32{}} }

// Len is the number of indicators.
func (s *Set) Len() int { return len(s.all) }

// Wants tells which values of a File are compared at all, so that no others
// need be computed.
func (s *Set) Wants() map[Kind]bool {
	w := map[Kind]bool{}
	for h := range s.hashes {
		w[hashKind(2*len(h))] = true
		if w[MD5] && w[SHA1] && w[SHA256] {
			break
		}
	}
	for _, n := range s.similar {
		w[s.all[n].Kind] = true
	}
	w[Name], w[Path] = len(s.names) > 0, len(s.patterns) > 0
	return w
}

// hashKind tells a hash by its number of hex digits.
func hashKind(digits int) Kind {
	switch digits {
	case 32:
		return MD5
	case 40:
		return SHA1
	case 64:
		return SHA256
	}
	return ""
}

// Add puts one indicator in. A second one of the same value is left out.
func (s *Set) Add(in Indicator) error {
	if len(s.all) >= MaxIndicators {
		return fmt.Errorf("more than %d indicators: split the lists", MaxIndicators)
	}
	n := int32(len(s.all))
	switch in.Kind {
	case MD5, SHA1, SHA256:
		in.Value = strings.ToLower(strings.TrimSpace(in.Value))
		raw, err := hex.DecodeString(in.Value)
		if err != nil || hashKind(len(in.Value)) != in.Kind {
			return fmt.Errorf("%q is no %s", clip(in.Value), in.Kind)
		}
		if _, ok := s.hashes[string(raw)]; ok {
			return nil
		}
		s.hashes[string(raw)] = n
	case Name:
		key := strings.ToLower(in.Value)
		if key == "" || strings.ContainsAny(key, `/\`) {
			return fmt.Errorf("%q is no file name", clip(in.Value))
		}
		if _, ok := s.names[key]; ok {
			return nil
		}
		s.names[key] = n
	case Path:
		if len(s.patterns) >= MaxPatterns {
			return fmt.Errorf("more than %d path patterns", MaxPatterns)
		}
		re, err := regexp.Compile(in.Value)
		if err != nil {
			return fmt.Errorf("%q is no regular expression: %w", clip(in.Value), err)
		}
		s.patterns = append(s.patterns, pattern{re, n})
	case TLSH, SSDeep:
		if len(s.similar) >= MaxSimilar {
			return fmt.Errorf("more than %d likenesses", MaxSimilar)
		}
		if err := checkSimilar(in.Kind, in.Value); err != nil {
			return err
		}
		s.similar = append(s.similar, n)
	case IP, Domain, URL:
		if err := s.addNetwork(&in, n); err != nil {
			if errors.Is(err, errKnown) {
				err = nil
			}
			return err
		}
	default:
		return fmt.Errorf("%q is no kind of indicator", clip(string(in.Kind)))
	}
	s.all = append(s.all, in)
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// Match gives the indicators that fit f at the time now, hashes first.
func (s *Set) Match(f File, now time.Time) []Hit {
	var hits []Hit
	add := func(n int32, likeness int) {
		in := s.all[n]
		if !in.From.IsZero() && now.Before(in.From) || !in.Until.IsZero() && !now.Before(in.Until) {
			return
		}
		hits = append(hits, Hit{in, likeness})
	}
	for _, h := range []string{f.SHA256, f.SHA1, f.MD5} {
		raw, err := hex.DecodeString(h)
		if err != nil || h == "" {
			continue
		}
		if n, ok := s.hashes[string(raw)]; ok {
			add(n, 100)
		}
	}
	if f.Path != "" {
		p := strings.ReplaceAll(f.Path, `\`, "/")
		if n, ok := s.names[strings.ToLower(path.Base(p))]; ok {
			add(n, 100)
		}
		for _, x := range s.patterns {
			if x.re.MatchString(p) {
				add(x.n, 100)
			}
		}
	}
	for _, n := range s.similar {
		if like := likeness(s.all[n], f); like > 0 {
			add(n, like)
		}
	}
	return hits
}
