package hunt

import (
	"bytes"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

const (
	maxAudit = 256 // lines of one event of auditd
	// openAudit is how many events may be open at once: processors write the lines
	// of their events between those of others.
	openAudit = 32
	// auditLook is how many lines from the end of a block are looked at for a
	// place that no event lies across.
	auditLook = 512
	// auditClear is how many lines should lie behind that place: what came after
	// them is no part of an event before it.
	auditClear = 16
)

// audited is an event of auditd whose lines are being gathered.
type audited struct {
	id    []byte
	first int64
	lines [][]byte
}

func (j *judge) audit(b *block) {
	var open []audited
	eachLine(b.data, b.line, func(line []byte, no int64) {
		id := textlog.AuditID(line)
		if id == nil {
			j.textLine(line, no)
			return
		}
		for i := range open {
			e := &open[i]
			if !bytes.Equal(e.id, id) {
				continue
			}
			if len(e.lines) >= maxAudit {
				j.audited(e)
				e.lines, e.first = e.lines[:0], no
			}
			e.lines = append(e.lines, line)
			return
		}
		var memory [][]byte
		if len(open) >= openAudit {
			j.audited(&open[0])
			memory = open[0].lines[:0]
			open = append(open[:0], open[1:]...)
		}
		open = append(open, audited{id: id, first: no, lines: append(memory, line)})
	})
	for i := range open {
		j.audited(&open[i])
	}
}

func (j *judge) audited(e *audited) {
	j.rec.Reset()
	j.head = logsource.Head{Format: textlog.Auditd}
	if j.text.Audit(e.lines, j.rec) {
		j.judge(uint64(e.first), nil)
		return
	}
	for i, l := range e.lines {
		j.textLine(l, e.first+int64(i))
	}
}

// auditBoundary is where b, which ends with a line, can be cut so that no event
// lies across it.
func auditBoundary(b []byte) int {
	var starts []int
	var ids []string
	for end := len(b); end > 0 && len(starts) < auditLook; {
		start := bytes.LastIndexByte(b[:end-1], '\n') + 1
		starts, ids = append(starts, start), append(ids, string(textlog.AuditID(b[start:end])))
		end = start
	}
	last := map[string]int{} // line of an id that is furthest from the end
	for i, id := range ids {
		last[id] = i
	}
	delete(last, "")
	best, reach := 0, -1
	for i, id := range ids[:max(0, len(ids)-1)] { // cut before line i, counted from the end
		if at, ok := last[id]; ok {
			reach = max(reach, at)
		}
		if reach > i {
			continue // an event of the lines behind begins before it
		}
		if best == 0 {
			best = starts[i]
		}
		if i >= auditClear {
			return starts[i]
		}
	}
	if best == 0 {
		return len(b)
	}
	return best
}
