package textlog

import (
	"bytes"
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Entry decodes the next entry of the journal's export format and gives what
// follows it; ok is false at the end or where the format is broken.
func (d *Decoder) Entry(b []byte, rec *sigma.Record, head *logsource.Head) (rest []byte, ok bool) {
	*head = logsource.Head{Format: Journal}
	rec.Reset()
	d.rec, d.arena = rec, d.arena[:0]
	b = bytes.TrimLeft(b, "\n")
	var program, message []byte
	for len(b) > 0 && b[0] != '\n' {
		name, value, more, good := pair(b)
		if !good {
			return nil, false
		}
		b = more
		switch string(name) {
		case "SYSLOG_IDENTIFIER":
			program = value
		case "MESSAGE":
			message = value
		case "__REALTIME_TIMESTAMP":
			rec.Time, _ = logsource.ParseTime(value)
		}
		rec.Add(name, sigma.Bytes(value))
		ok = true
	}
	d.Journal(program, message, head)
	return b, ok
}

// Journal gives a record of the journal the names that syslog records have.
func (d *Decoder) Journal(program, message []byte, head *logsource.Head) {
	head.Format = Journal
	if len(message) > 6 && bytes.HasPrefix(message, []byte("<Event")) && d.xml(message, head) {
		return
	}
	d.derive(d.id.program, program)
	d.derive(d.id.message, message)
	if d.login(program, message) {
		d.rec.Alias(d.id.login.host, d.id.journalHost)
		d.rec.Alias(d.id.login.pid, d.id.journalPID)
		return
	}
	d.resolver(message)
}

// JournalRecord is Journal for a record that another decoder has filled.
func (d *Decoder) JournalRecord(rec *sigma.Record, program, message []byte, head *logsource.Head) {
	d.rec = rec
	d.Journal(program, message, head)
}

// EntryEnd is where the entry of the journal's export format that begins b ends,
// with the empty line behind it; 0 when b does not hold all of it. Where the
// format is broken it is where the next entry seems to begin.
func EntryEnd(b []byte) int {
	start := len(b)
	b = bytes.TrimLeft(b, "\n")
	for len(b) > 0 {
		if b[0] == '\n' {
			return start - len(b) + 1
		}
		_, _, rest, ok := pair(b)
		if !ok {
			if whole(b) {
				return 0
			}
			return start - len(b) + max(0, Resync(b))
		}
		if len(rest) == 0 { // perhaps there is more of the line
			return 0
		}
		b = rest
	}
	return 0
}

// whole tells whether the field at b, which does not end in it, may do so when
// more is read.
func whole(b []byte) bool {
	_, b, found := bytes.Cut(b, []byte("\n"))
	return !found || len(b) < 8 || binary.LittleEndian.Uint64(b) < maxEntry
}

// maxEntry is the size in bytes that a field of the journal may say it has.
const maxEntry = 64 << 20

// Resync is where the next entry begins behind a broken one, -1 when nowhere.
func Resync(b []byte) int {
	if i := bytes.Index(b, []byte("\n\n__")); i >= 0 {
		return i + 2
	}
	return -1
}

// pair reads NAME=value, or NAME, a length and that many bytes.
func pair(b []byte) (name, value, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		end = len(b)
	}
	if eq := bytes.IndexByte(b[:end], '='); eq > 0 {
		return b[:eq], b[eq+1 : end], b[min(end+1, len(b)):], true
	}
	name, b = b[:end], b[min(end+1, len(b)):]
	if len(b) < 8 {
		return nil, nil, nil, false
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8) {
		return nil, nil, nil, false
	}
	return name, b[8 : 8+n], bytes.TrimPrefix(b[8+n:], []byte("\n")), true
}
