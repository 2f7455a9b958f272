package hunt

import (
	"bufio"
	"io"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// JSONReport writes one object a line for each match and, with Summary, one
// last about the hunt. docs/formats/hunt.md lists the fields.
type JSONReport struct {
	w   *bufio.Writer
	buf []byte
}

// NewJSONReport makes a report on w.
func NewJSONReport(w io.Writer) *JSONReport { return &JSONReport{w: bufio.NewWriterSize(w, 64<<10)} }

func appendPair(dst []byte, name, value string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(appendQuoted(dst, []byte(name)), ':')
	return appendQuoted(dst, []byte(value))
}

func appendList(dst []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return dst
	}
	dst = append(appendQuoted(append(dst, ','), []byte(name)), ":["...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, []byte(v))
	}
	return append(dst, ']')
}

// appendRule appends what names the rule; its author and licence belong to it.
func appendRule(dst []byte, r *sigma.Rule, license string) []byte {
	dst = appendPair(dst, "rule.id", r.ID)
	dst = appendPair(dst, "rule.name", r.Title)
	dst = appendPair(dst, "rule.level", r.Level.String())
	if r.Author != "" {
		dst = appendPair(dst, "rule.author", r.Author)
	}
	if license != "" {
		dst = appendPair(dst, "rule.license", license)
	}
	return appendList(appendList(dst, "threat.technique.id", Techniques(r)), "threat.tactic.name", Tactics(r))
}

// Match writes one line.
func (j *JSONReport) Match(m *Match) error {
	b := append(j.buf[:0], '{')
	b = appendRule(b, m.Rule, m.License)
	if m.File != "" {
		b = appendPair(b, "file", m.File)
	}
	if !m.Correlation {
		b = strconv.AppendUint(append(b, `,"record":`...), m.Record, 10)
	} else {
		b = append(b, `,"group":{`...)
		for _, p := range m.Group {
			b = appendPair(b, p.Name, p.Value)
		}
		b = append(append(b, `},"count":`...), formatCount(m.Count)...)
		b = appendPair(b, "first", Stamp(m.First))
		b = appendPair(b, "last", Stamp(m.Last))
	}
	if m.Time != 0 {
		b = appendPair(b, "@timestamp", Stamp(m.Time))
	}
	if m.Event != nil {
		b = append(append(b, `,"event":`...), m.Event...)
	}
	b = append(b, '}', '\n')
	j.buf = b
	_, err := j.w.Write(b)
	return err
}

// Summary writes the last line.
func (j *JSONReport) Summary(h *Hunt) error {
	b := append(j.buf[:0], `{"summary":true`...)
	for _, n := range h.Stats.numbers() {
		b = append(append(append(b, ',', '"'), n.name...), '"', ':')
		b = strconv.AppendInt(b, n.n, 10)
	}
	rules := h.cfg.Rules
	b = strconv.AppendInt(append(b, `,"rules":`...), int64(len(rules.Engine.Rules())), 10)
	b = strconv.AppendInt(append(b, `,"refused":`...), int64(rules.Set.Refused()), 10)
	b = append(b, '}', '\n')
	if _, err := j.w.Write(b); err != nil {
		return err
	}
	return j.w.Flush()
}

type number struct {
	name string
	n    int64
}

func (s *Stats) numbers() []number {
	return []number{
		{"files", s.Files.Load()},
		{"bytes", s.Bytes.Load()},
		{"records", s.Records.Load()},
		{"matches", s.Matches.Load()},
		{"correlations", s.Alerts.Load()},
		{"outside", s.Outside.Load()},
		{"unknown", s.Unknown.Load()},
		{"damaged", s.Damaged.Load()},
		{"carved", s.Carved.Load()},
		{"skipped", s.Skipped.Load()},
	}
}
