package hunt

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/evtx"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// judge decodes and judges blocks. It serves one goroutine.
type judge struct {
	h      *Hunt
	rec    *sigma.Record
	spare  *sigma.Record // of a record inside another
	match  *sigma.Worker
	route  *logsource.Worker
	evtx   *evtx.Decoder
	json   *jsonl.Scanner
	text   *textlog.Decoder
	wanted map[*sigma.Rule]bool
	head   logsource.Head
	ids    struct{ boot, message, ident, uid, ts, path, recordID, text, log, stream, audit, trail sigma.FieldID }

	in            *input
	out           *result
	records       int64
	damaged, void int64
	outside       int64
	points        bool
	details       string // of the record, once some rule has matched
	scratch       []byte
	since, until  int64
}

func (h *Hunt) newJudge() *judge {
	f := h.cfg.Rules.Fields
	j := &judge{
		h: h, rec: sigma.NewRecord(f), spare: sigma.NewRecord(f), match: h.cfg.Rules.Engine.NewWorker(), route: h.router.NewWorker(), evtx: evtx.NewDecoder(f),
		json: jsonl.NewScanner(f, h.cfg.Mapping), text: textlog.New(f), wanted: map[*sigma.Rule]bool{}, points: h.cfg.Rules.Engine.Correlations() > 0,
	}
	j.evtx.Carve = h.cfg.Carve
	ids := f.Add("__REALTIME_TIMESTAMP", "MESSAGE", "SYSLOG_IDENTIFIER", "uid", "ts", "_path", "EventRecordID", "message", "log", "stream", "AuditData", "CloudTrailEvent")
	j.ids.boot, j.ids.message, j.ids.ident, j.ids.uid, j.ids.ts, j.ids.path, j.ids.recordID = ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], ids[6]
	j.ids.text, j.ids.log, j.ids.stream, j.ids.audit, j.ids.trail = ids[7], ids[8], ids[9], ids[10], ids[11]
	if !h.cfg.Since.IsZero() {
		j.since = h.cfg.Since.UnixNano()
	}
	if !h.cfg.Until.IsZero() {
		j.until = h.cfg.Until.UnixNano()
	}
	return j
}

// block judges one block.
func (j *judge) block(b *block) *result {
	j.in, j.out = b.in, &result{seq: b.seq, file: b.in.name, data: b.data[:0]}
	j.records, j.damaged, j.void, j.outside = 0, 0, 0, 0
	switch {
	case b.in.format == formatEVTX:
		j.chunk(b)
	case b.spans != nil:
		for _, s := range b.spans {
			j.object(b.data[s.from:s.to], s.line)
		}
	case b.in.format == formatLines:
		eachLine(b.data, b.line, j.object)
	case b.in.format == textlog.Auditd:
		j.audit(b)
	case b.in.format == textlog.Journal:
		j.journal(b)
	case b.in.format == textlog.XML:
		j.xml(b)
	default:
		j.text.SetHeader(b.header)
		j.text.Now = j.now()
		eachLine(b.data, b.line, j.textLine)
	}
	s := &j.h.Stats
	s.Records.Add(j.records)
	s.Damaged.Add(j.damaged)
	s.Unknown.Add(j.void)
	s.Outside.Add(j.outside)
	s.Matches.Add(int64(len(j.out.matches)))
	return j.out
}

func (j *judge) now() time.Time {
	if j.in.year != 0 {
		return time.Unix(j.in.year, 0).UTC()
	}
	return j.h.cfg.Now
}

func eachLine(b []byte, line int64, fn func([]byte, int64)) {
	for len(b) > 0 {
		one := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			one, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		one = bytes.TrimRight(bytes.TrimLeft(one, "\x00\x1e"), "\r\x00 \t") // a machine that lost power leaves zeros; RFC 7464
		if len(one) > 0 {
			fn(one, line)
		}
		line++
	}
}

func (j *judge) chunk(b *block) {
	before := j.evtx.Stats
	//nolint:errcheck // the callback gives none
	j.evtx.Chunk(b.data, j.rec, func(h *evtx.Head) error {
		j.head = logsource.Head{Format: formatEVTX, Channel: h.Channel, Provider: h.Provider, EventID: h.EventID}
		j.judge(h.ID, nil)
		return nil
	})
	after := j.evtx.Stats
	if n := int64(after.Damaged - before.Damaged + after.Chunks - before.Chunks); n > 0 {
		j.damaged += n
		j.h.problem(j.in.name, partly, "%d damaged records or chunks were skipped", n)
	}
	j.h.Stats.Carved.Add(int64(after.Carved - before.Carved))
}

func (j *judge) textLine(line []byte, no int64) {
	if line[0] == '#' && (j.in.format == textlog.W3C || j.in.format == textlog.Zeek) {
		return
	}
	if line[0] == '{' { // JSON among lines
		j.object(line, no)
		return
	}
	j.text.Line(j.in.format, line, j.rec, &j.head)
	if j.head.Format == textlog.Syslog && j.inMessage(uint64(no)) {
		return
	}
	j.judge(uint64(no), nil)
}

func (j *judge) journal(b *block) {
	data, line := b.data, b.line
	for {
		start := bytes.TrimLeft(data, "\r\n \t")
		line += int64(bytes.Count(data[:len(data)-len(start)], []byte("\n")))
		if data = start; len(data) == 0 {
			return
		}
		rest, ok := j.text.Entry(data, j.rec, &j.head)
		if ok {
			j.judge(uint64(line), nil)
		} else {
			j.damaged++
			j.h.problem(j.in.name, partly, "line %d: a journal entry that cannot be read", line)
			at := textlog.Resync(data)
			if at < 0 {
				return
			}
			rest = data[at:]
		}
		line += int64(bytes.Count(data[:len(data)-len(rest)], []byte("\n")))
		data = rest
	}
}

func (j *judge) xml(b *block) {
	data, line := b.data, b.line
	for {
		i := eventStart(data)
		if i < 0 {
			return
		}
		line += int64(bytes.Count(data[:i], []byte("\n")))
		data = data[i:]
		end := bytes.Index(data, []byte("</Event>"))
		next := eventStart(data[1:]) + 1
		if end < 0 || next > 0 && next < end {
			j.damaged++
			j.h.problem(j.in.name, partly, "line %d: an <Event> that does not end: left out", line)
			if next <= 0 {
				return
			}
			line += int64(bytes.Count(data[:next], []byte("\n")))
			data = data[next:]
			continue
		}
		end += len("</Event>")
		j.text.Line(textlog.XML, data[:end], j.rec, &j.head)
		j.judge(uint64(line), nil)
		line += int64(bytes.Count(data[:end], []byte("\n")))
		data = data[end:]
	}
}

// eventStart finds <Event that is not <EventData or <Events.
func eventStart(b []byte) int {
	at := 0
	for {
		i := bytes.Index(b[at:], []byte("<Event"))
		if i < 0 || at+i+6 >= len(b) {
			return -1
		}
		at += i
		if c := b[at+6]; c == '>' || c == ' ' || c == '\r' || c == '\n' || c == '\t' {
			return at
		}
		at += 6
	}
}

// judge routes the record and asks the rules. raw is the record as it was
// written, where that is JSON.
func (j *judge) judge(id uint64, raw []byte) {
	if t := j.rec.Time; t != 0 && (j.since != 0 && t < j.since || j.until != 0 && t > j.until) {
		j.outside++
		return
	}
	j.records++
	if !j.route.Route(j.rec, &j.head) {
		j.void++
	}
	if j.h.look != nil {
		j.h.look(j.rec, id)
		return
	}
	if n := j.rec.Left + j.rec.Cut; n > 0 {
		j.h.problem(j.in.name, partly, "record %d: %d values were left out or cut: a record has at most %d values of %d MiB each", id, n, sigma.MaxFields, sigma.MaxValue>>20)
	}
	j.details = ""
	for _, r := range j.match.Match(j.rec) {
		if j.takes(r) {
			j.out.matches = append(j.out.matches, j.found(r, id, raw))
		}
	}
	if j.h.cfg.Indicators != nil {
		j.indicated(id, raw)
	}
	if j.points {
		n := len(j.out.points)
		j.out.points = j.match.Points(j.out.points)
		for i := n; i < len(j.out.points); i++ {
			j.out.points[i].Ref = id
		}
	}
}

func (j *judge) takes(r *sigma.Rule) bool {
	ok, seen := j.wanted[r]
	if !seen {
		ok = j.h.cfg.Rules.Want.Takes(r)
		j.wanted[r] = ok
	}
	return ok
}

// found makes a Match, which outlives the record.
func (j *judge) found(r *sigma.Rule, id uint64, raw []byte) Match {
	m := Match{Rule: r, License: j.h.cfg.Rules.License(r), File: j.in.name, Record: id, Time: j.rec.Time}
	for i := 0; i < len(j.h.who) && m.Computer == ""; i++ {
		m.Computer = j.text1(j.h.who[i])
	}
	m.Channel, m.EventID = strings.ToValidUTF8(string(j.head.Channel), "\uFFFD"), strings.ToValidUTF8(string(j.head.EventID), "\uFFFD")
	if m.Channel == "" {
		m.Channel = j.rec.Source.Name
	}
	if j.details == "" {
		j.scratch = appendDetails(j.scratch[:0], j.rec, j.h.names)
		j.details = string(j.scratch)
	}
	m.Details = j.details
	if !j.h.cfg.Events {
		return m
	}
	if raw != nil && utf8.Valid(raw) && bytes.IndexByte(raw, '\n') < 0 {
		m.Event = bytes.Clone(raw)
	} else {
		m.Event = appendRecord(nil, j.rec)
	}
	return m
}

func (j *judge) text1(id sigma.FieldID) string {
	v, _, _ := j.rec.First(id)
	return strings.ToValidUTF8(string(v.Text), "\uFFFD")
}
