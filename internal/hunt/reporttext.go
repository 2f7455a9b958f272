package hunt

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Plain makes attacker text harmless on a terminal: control characters, marks
// that turn the direction of text and what is no UTF-8 are written as escapes,
// and it is cut after n characters; 0: never.
func Plain(s string, n int) string {
	var b strings.Builder
	for i, r := range s {
		if n > 0 && i >= n {
			b.WriteString("...")
			break
		}
		switch {
		case r == ' ' || unicode.IsGraphic(r) && !unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && r != unicode.ReplacementChar:
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// TableReport writes a few lines for people for each match.
type TableReport struct {
	w *bufio.Writer
	// Colour marks levels with colours of terminals.
	Colour bool
}

// NewTableReport makes a report on w.
func NewTableReport(w io.Writer, colour bool) *TableReport {
	return &TableReport{w: bufio.NewWriterSize(w, 64<<10), Colour: colour}
}

func (t *TableReport) level(l sigma.Level) string {
	s := fmt.Sprintf("%-13s", l.String())
	if !t.Colour {
		return s
	}
	switch l {
	case sigma.Critical:
		return "\x1b[1;37;41m" + s + "\x1b[0m"
	case sigma.High:
		return "\x1b[1;31m" + s + "\x1b[0m"
	case sigma.Medium:
		return "\x1b[33m" + s + "\x1b[0m"
	}
	return s
}

// Match writes one match.
func (t *TableReport) Match(m *Match) error {
	at := Stamp(m.Time)
	if at == "" {
		at = "(no time)"
	}
	fmt.Fprintf(t.w, "%-27s %s %s\n", at, t.level(m.Rule.Level), Plain(m.Rule.Title, 160)) //nolint:errcheck // Flush tells
	by := ""
	if m.Rule.Author != "" {
		by = "  rule by " + Plain(m.Rule.Author, 120)
	}
	if m.License != "" {
		by += " (" + Plain(m.License, 60) + ")"
	}
	if id := m.Rule.ID + by; id != "" {
		fmt.Fprintf(t.w, "    %s\n", strings.TrimSpace(id)) //nolint:errcheck // as above
	}
	where := Plain(m.File, 0)
	if m.Correlation {
		fmt.Fprintf(t.w, "    %s times from %s to %s\n", formatCount(m.Count), Stamp(m.First), Stamp(m.Last)) //nolint:errcheck // as above
	} else {
		where = fmt.Sprintf("%s, record %d  %s", where, m.Record, Plain(strings.TrimSpace(m.Computer+" "+m.Channel+" "+m.EventID), 160))
	}
	_, err := fmt.Fprintf(t.w, "    %s\n", where)
	if m.Details != "" {
		_, err = fmt.Fprintf(t.w, "    %s\n", Plain(m.Details, maxDetails))
	}
	return err
}

// Summary writes what was read.
func (t *TableReport) Summary(h *Hunt) error {
	s := &h.Stats
	fmt.Fprintf(t.w, "%d matches in %d records of %d files (%d rules, %d refused)\n", s.Matches.Load(), s.Records.Load(), s.Files.Load(), len(h.cfg.Rules.Engine.Rules()), h.cfg.Rules.Set.Refused()) //nolint:errcheck // Flush tells
	for _, n := range s.numbers()[5:] {
		if n.n > 0 {
			fmt.Fprintf(t.w, "%d %s\n", n.n, map[string]string{"outside": "records outside the time asked for", "unknown": "records of no known log source", "damaged": "damaged records, lines or chunks left out", "carved": "records found in slack", "skipped": "files that are no logs"}[n.name]) //nolint:errcheck // as above
		}
	}
	return t.w.Flush()
}

// CSVReport writes a timeline, sorted by time.
type CSVReport struct {
	w    *csv.Writer
	sort *sorter
	buf  []byte
	n    uint64
}

// NewCSVReport makes a timeline on w; what does not fit in memory is sorted in dir.
func NewCSVReport(w io.Writer, dir string) *CSVReport {
	return &CSVReport{w: csv.NewWriter(w), sort: newSorter(dir, sortMemory)}
}

// cell keeps spreadsheets from taking text for a formula.
func cell(s string) string {
	s = Plain(s, 0)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) && s != "-" {
		return "'" + s
	}
	return s
}

// Match keeps one row.
func (c *CSVReport) Match(m *Match) error {
	record := strconv.FormatUint(m.Record, 10)
	if m.Correlation {
		record = formatCount(m.Count) + " times"
	}
	row := []string{
		Stamp(m.Time), m.Computer, m.Channel, m.EventID, m.Rule.Level.String(), strings.Join(Tactics(m.Rule), " "), strings.Join(Techniques(m.Rule), " "),
		record, m.Rule.Title, m.Details, m.File, m.Rule.ID, m.Rule.Author, m.License,
	}
	c.buf = binary.BigEndian.AppendUint64(c.buf[:0], uint64(m.Time)^(1<<63))
	c.buf = binary.BigEndian.AppendUint64(c.buf, c.n)
	c.n++
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return c.sort.add(append(c.buf, data...))
}

// Summary writes the rows.
func (c *CSVReport) Summary(*Hunt) error {
	defer c.sort.close()
	head := []string{"Timestamp", "Computer", "Channel", "EventID", "Level", "MitreTactics", "MitreTags", "RecordID", "RuleTitle", "Details", "EvtxFile", "RuleID", "RuleAuthor", "RuleLicense"}
	if err := c.w.Write(head); err != nil {
		return err
	}
	err := c.sort.each(func(rec []byte) error {
		var row []string
		if err := json.Unmarshal(rec[16:], &row); err != nil {
			return err
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		return c.w.Write(row)
	})
	c.w.Flush()
	if err == nil {
		err = c.w.Error()
	}
	return err
}
