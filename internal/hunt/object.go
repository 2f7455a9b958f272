package hunt

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
)

// maxSalvage is how many times the length of a text is looked at in search of
// whole objects behind broken ones.
const maxSalvage = 16

// object judges a JSON object, and the objects that follow it where a program
// wrote several without a line between them. Behind a broken one it goes on with
// the next that is whole.
func (j *judge) object(text []byte, line int64) {
	j.head.Format = "json"
	room, lost := maxSalvage*len(text), false
	for {
		text = bytes.TrimRight(text, ", \t\r\n") // an array written one element a line
		if len(text) == 0 || (len(text) == 1 && (text[0] == '[' || text[0] == ']')) {
			return
		}
		err := j.json.Scan(text, j.rec, &j.head)
		if err == nil {
			j.scanned(text, line)
			return
		}
		fault, ok := errors.AsType[*jsonl.SyntaxError](err)
		var at int
		switch {
		case ok && fault.Whole:
			j.scanned(bytes.TrimRight(text[:fault.Offset], ", \t\r\n"), line)
			if at, lost = next(text, fault.Offset), false; at < 0 {
				return
			}
		default:
			if !lost {
				j.damaged++
				j.h.problem(j.in.name, partly, "line %d: %v: left out", line, err)
				lost = true
			}
			if !ok {
				return
			}
			room -= fault.Seen + 1
			if at = next(text, max(1, fault.Offset-2)); at < 0 || room <= 0 {
				return
			}
		}
		line += int64(bytes.Count(text[:at], []byte("\n")))
		text = text[at:]
	}
}

// next is where the next object of its own begins from a place on, -1 when
// nowhere. At the place itself, where another object broke off, anything may
// stand before it; later it must follow a bracket, a comma or a line.
func next(b []byte, from int) int {
	for at := from; ; at++ {
		i := bytes.IndexByte(b[min(at, len(b)):], '{')
		if i < 0 {
			return -1
		}
		at += i
		name := bytes.TrimLeft(b[at+1:], " \t\r\n")
		if len(name) == 0 || (name[0] != '"' && name[0] != '}') {
			continue
		}
		before := bytes.TrimRight(b[:at], " \t")
		if at < from+8 || len(before) == 0 || bytes.IndexByte([]byte("}],[\n"), before[len(before)-1]) >= 0 {
			return at
		}
	}
}

// scanned judges an object that j.rec holds.
func (j *judge) scanned(obj []byte, line int64) {
	j.rec.Time, _ = j.route.Time(j.rec)
	switch {
	case j.rec.Has(j.ids.boot) && j.rec.Has(j.ids.message):
		program, _, _ := j.rec.First(j.ids.ident)
		j.text.JournalRecord(j.rec, program.Text, j.message(), &j.head)
	case j.in.path != "" && j.rec.Has(j.ids.uid) && j.rec.Has(j.ids.ts) && !j.rec.Has(j.ids.path):
		j.rec.Hide(j.ids.path, sigma.String(j.in.path))
	case j.rec.Has(j.ids.log) && j.rec.Has(j.ids.stream) && j.inContainer(uint64(line)):
		return
	case j.inExport(uint64(line)):
		return
	}
	j.judge(uint64(line), obj)
}

// message is the message of a journal's record. One that is not UTF-8 is
// written as an array of its bytes.
func (j *judge) message() []byte {
	first, more, _ := j.rec.First(j.ids.message)
	if !more {
		return first.Text
	}
	var text []byte
	for v := range j.rec.Values(j.ids.message) {
		n, err := strconv.ParseUint(string(v.Text), 10, 8)
		if err != nil {
			return first.Text
		}
		text = append(text, byte(n))
	}
	return text
}
