package access

import (
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/nets"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// ids are the fields that the Reader reads and writes.
type ids struct {
	category, action, outcome, reason, user, target, ip, port, service, host, pid, net, wide, wider sigma.FieldID
	source, account, spoofable, hostname, cip, srcIP, ipAddress, computer, dstIP, dstPort, dns      sigma.FieldID
	boot, message, ident                                                                            sigma.FieldID
}

func (d *ids) bind(f *sigma.Fields) {
	for _, x := range []struct {
		id   *sigma.FieldID
		name string
	}{
		{&d.category, "event.category"},
		{&d.action, "event.action"},
		{&d.outcome, "event.outcome"},
		{&d.reason, "event.reason"},
		{&d.user, "user.name"},
		{&d.target, "user.target.name"},
		{&d.ip, "source.ip"},
		{&d.port, "source.port"},
		{&d.service, "service.name"},
		{&d.host, "host.name"},
		{&d.pid, "process.pid"},
		{&d.net, "lapwing.net"},
		{&d.wide, "lapwing.net56"},
		{&d.wider, "lapwing.net48"},
		{&d.source, "lapwing.source"},
		{&d.account, "lapwing.account"},
		{&d.spoofable, "lapwing.spoofable"},
		{&d.hostname, "hostname"},
		{&d.cip, "c-ip"},
		{&d.srcIP, "src_ip"},
		{&d.ipAddress, "IpAddress"},
		{&d.computer, "Computer"},
		{&d.dstIP, "destination.ip"},
		{&d.dstPort, "destination.port"},
		{&d.dns, "query"},
		{&d.boot, "__REALTIME_TIMESTAMP"},
		{&d.message, "MESSAGE"},
		{&d.ident, "SYSLOG_IDENTIFIER"},
	} {
		*x.id = f.Add(x.name)[0]
	}
}

// The formats beside textlog's.
const (
	formatJSON = "json"
	formatEVTX = "evtx" // events of Windows as JSON
)

// line decodes and judges one line.
func (r *Reader) line(s *source, l *line.Line) {
	r.stats.Lines++
	r.from, r.one, r.now = s, l, l.Received
	if r.now.IsZero() {
		r.now = r.cfg.Clock.Now()
	}
	silent := s.replay.silent(l)
	before := len(r.out)
	r.read(s, l)
	if silent { // judged and told before the last start
		r.out = r.out[:before]
		r.stats.Replayed++
	}
}

func (r *Reader) read(s *source, l *line.Line) {
	format := r.formatOf(s, l)
	if d := r.decoders[format]; d != nil {
		r.rec.Reset()
		err := d.Decode(l, r.rec, func(rec *sigma.Record) {
			r.head = logsource.Head{Format: format}
			r.judge(rec)
		})
		if err != nil {
			r.stats.Damaged++
		}
		return
	}
	if r.decode(format, s, l.Text) {
		r.judge(r.rec)
	}
}

// formatOf is what the line is decoded as.
func (r *Reader) formatOf(s *source, l *line.Line) string {
	switch {
	case l.Format != "":
		return l.Format
	case s.Format != "":
		return s.Format
	case len(l.Text) > 0 && l.Text[0] == '{':
		return formatJSON
	}
	if s.sniffed == "" || s.sniffed == textlog.Text {
		s.sniffed = textlog.Sniff(l.Text)
	}
	return s.sniffed
}

// decode fills the record. It is false for what is no record.
func (r *Reader) decode(format string, s *source, text []byte) bool {
	for len(text) > 0 && (text[len(text)-1] <= ' ') {
		text = text[:len(text)-1]
	}
	for len(text) > 0 && (text[0] == 0 || text[0] == 0x1e) { // a machine that lost power leaves zeros; RFC 7464
		text = text[1:]
	}
	if len(text) == 0 {
		return false
	}
	if text[0] == '{' && format != textlog.Journal || format == formatJSON || format == formatEVTX {
		return r.object(text)
	}
	r.text.Now = r.now
	switch {
	case (format == textlog.W3C || format == textlog.Zeek) && text[0] == '#':
		s.header = textlog.HeaderLine(text, s.header)
		return false
	case format == textlog.W3C, format == textlog.Zeek:
		r.text.SetHeader(s.header)
	case format == textlog.Journal:
		_, ok := r.text.Entry(append(slices.Clip(text), '\n'), r.rec, &r.head)
		return ok
	}
	r.text.Line(format, text, r.rec, &r.head)
	return true
}

// object decodes JSON: a record of the journal is given the names that syslog has.
// Of a broken object, what stands before the fault is judged.
func (r *Reader) object(text []byte) bool {
	r.head = logsource.Head{Format: formatJSON}
	err := r.json.Scan(text, r.rec, &r.head)
	if err != nil {
		r.stats.Damaged++
		return false
	}
	if t, ok := r.engine.Time(r.rec); ok {
		r.rec.Time = t
	}
	if r.rec.Has(r.ids.boot) && r.rec.Has(r.ids.message) {
		program, _, _ := r.rec.First(r.ids.ident)
		if message, more, _ := r.rec.First(r.ids.message); !more {
			r.text.JournalRecord(r.rec, program.Text, message.Text, &r.head)
		}
	}
	return true
}

// prepare adds to a record, whose log source is known, what the Reader knows.
func (r *Reader) prepare() {
	rec := r.rec
	at := time.Unix(0, rec.Time)
	if rec.Time == 0 || at.After(r.now.Add(maxAhead)) {
		if rec.Time != 0 {
			r.stats.Ahead++
		}
		rec.Time, at = r.now.UnixNano(), r.now
	}
	rec.Hide(r.ids.source, sigma.String(r.from.name))
	if len(r.service) > 0 && r.service[string(r.get(rec, r.ids.user))] {
		rec.Hide(r.ids.account, sigma.String("service"))
	}
	if !rec.Has(r.ids.net) {
		r.network(rec)
	}
	for _, t := range r.trackers {
		t.Add(rec, at)
	}
}

// network sets the prefixes under which a record's source is counted.
func (r *Reader) network(rec *sigma.Record) {
	for _, id := range [...]sigma.FieldID{r.ids.ip, r.ids.cip, r.ids.srcIP, r.ids.ipAddress} {
		a, ok := nets.Parse(r.get(rec, id))
		if !ok {
			continue
		}
		rec.Alias(r.ids.ip, id)
		net, wide, wider := nets.Of(a)
		rec.Hide(r.ids.net, sigma.Bytes(nets.Append(nil, net)))
		if wide.IsValid() {
			rec.Hide(r.ids.wide, sigma.Bytes(nets.Append(nil, wide)))
			rec.Hide(r.ids.wider, sigma.Bytes(nets.Append(nil, wider)))
		}
		return
	}
}

// get is the first value of a field, nil where it has none.
func (r *Reader) get(rec *sigma.Record, id sigma.FieldID) []byte {
	v, _, _ := rec.First(id)
	return v.Text
}

// judge asks the rules about the record and keeps what is worth it.
func (r *Reader) judge(rec *sigma.Record) {
	r.judged++
	ref := r.waiting.next()
	vs, waits := r.engine.Record(rec, &r.head, ref, r.prepared)
	if waits {
		r.waiting.keep(ref, r.from.name, r.one, r.now)
	}
	flagged := false
	for i := range vs {
		if v := &vs[i]; v.Group == nil || v.Ref == ref {
			flagged = r.verdict(v, rec) || flagged
		} else {
			r.late(v)
		}
	}
	r.keep(rec, flagged)
}
