package hunt

import (
	"bytes"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// inMessage judges the JSON that a line of syslog carries (Suricata, OpenCanary,
// Cowrie, @cee), where it is a record of a known log source; false where it is
// not, and the line is what is to be judged.
func (j *judge) inMessage(id uint64) bool {
	v, _, _ := j.rec.First(j.ids.text)
	text := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(v.Text), []byte("@cee:")))
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return false
	}
	return j.inside(text, id)
}

// inContainer is inMessage for a line that Docker has put into JSON, which may
// be of any format.
func (j *judge) inContainer(id uint64) bool {
	v, more, _ := j.rec.First(j.ids.log)
	text := bytes.TrimRight(bytes.Clone(v.Text), "\r\n") // it may lie in memory of the scanner
	if more || len(text) == 0 {
		return false
	}
	if text[0] == '{' {
		return j.inside(text, id)
	}
	format := textlog.Sniff(text)
	if format == textlog.Text || format == textlog.W3C || format == textlog.Zeek || format == textlog.Journal {
		return false
	}
	at := j.rec.Time
	j.rec, j.spare = j.spare, j.rec
	j.text.Line(format, text, j.rec, &j.head)
	if j.rec.Time == 0 {
		j.rec.Time = at
	}
	j.judge(id, nil)
	return true
}

// inExport is inMessage for JSON that holds a record as a text: exports of the
// audit logs of Microsoft 365 and AWS, and shippers that put what they read into
// message. Where the record around it is of a known log source, that one counts.
func (j *judge) inExport(id uint64) bool {
	for _, field := range [...]sigma.FieldID{j.ids.audit, j.ids.trail, j.ids.text} {
		v, more, _ := j.rec.First(field)
		if n := len(v.Text); more || n < 2 || v.Text[0] != '{' || v.Text[n-1] != '}' || j.route.Route(j.rec, &j.head) {
			continue
		}
		return j.inside(bytes.Clone(v.Text), id) // it may lie in memory of the scanner
	}
	return false
}

// inside judges a JSON object inside another record, if it is of a known log
// source. It has the time of that record where it says none itself.
func (j *judge) inside(obj []byte, id uint64) bool {
	at, head := j.rec.Time, j.head
	j.rec, j.spare = j.spare, j.rec
	j.head.Format = formatLines
	if j.json.Scan(obj, j.rec, &j.head) != nil || !j.route.Route(j.rec, &j.head) {
		j.rec, j.spare, j.head = j.spare, j.rec, head
		return false
	}
	if t, ok := j.route.Time(j.rec); ok {
		at = t
	}
	j.rec.Time = at
	j.judge(id, obj)
	return true
}
