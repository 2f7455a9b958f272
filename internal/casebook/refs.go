package casebook

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// reference is one event under an alert: the number that it had there, and
// where its line lies.
type reference struct {
	seq      int64
	event    storedID
	pack, at int64
}

// storedID is an id as records hold it: the bytes of a UUID, or another text.
type storedID struct {
	uuid [16]byte // zero: it is text
	text string
}

func idOf(id string) storedID {
	if u, ok := event.ParseUUID(id); ok && u != [16]byte{} {
		return storedID{uuid: u}
	}
	return storedID{text: id}
}

// String is the id.
func (s *storedID) String() string {
	if s.uuid != [16]byte{} {
		return event.FormatUUID(s.uuid)
	}
	return s.text
}

// isUUID tells whether the id is its bytes.
func (s *storedID) isUUID() bool { return s.uuid != [16]byte{} }

var errRefs = errors.New("the events of an alert are not written as they should be")

// How the id of an event is written.
const (
	refUUID = 0 // 16 bytes
	refNear = 1 // as the id before, but for its time and the count behind it
	refText = 2 // its length, its bytes
)

// appendRefs writes references at the end of a row of alerts, for each: how
// much higher its number is than the one before, with the form of its id in the
// two lowest bits; the id; how much higher the numbers of its pack and its line
// are than those of the one before.
func appendRefs(dst []byte, refs []reference) []byte {
	var last reference
	var before *[16]byte
	for i := range refs {
		r := &refs[i]
		id := &r.event.uuid
		head := uint64(r.seq-last.seq) << 2
		switch {
		case !r.event.isUUID():
			dst = appendText(appendUint(dst, head|refText), r.event.text)
		case before != nil && near(before, id):
			dst = appendInt(appendUint(dst, head|refNear), milli(id)-milli(before))
			dst = appendUint(dst, uint64(binary.BigEndian.Uint16(id[6:])&0xfff))
			before = id
		default:
			dst = append(appendUint(dst, head|refUUID), id[:]...)
			before = id
		}
		dst = appendInt(appendInt(dst, r.pack-last.pack), r.at-last.at)
		last = *r
	}
	return dst
}

// near tells whether two UUIDs are of one maker: version 7 with the same bits
// after time and count.
func near(a, b *[16]byte) bool {
	return a[6]>>4 == 7 && b[6]>>4 == 7 && [8]byte(a[8:]) == [8]byte(b[8:])
}

// milli is the time of a UUIDv7.
func milli(id *[16]byte) int64 { return int64(binary.BigEndian.Uint64(id[:]) >> 16) }

// refs reads what appendRefs wrote, to the end.
func (d *reader) refs() (out []reference) {
	if len(d.b) == 0 {
		return nil
	}
	var last reference
	var before [16]byte
	known := false
	out = make([]reference, 0, min(len(d.b)/8+1, 2*halfEvents))
	for len(d.b) > 0 && !d.bad {
		var r reference
		head := d.uint()
		r.seq = last.seq + int64(head>>2)
		switch head & 3 {
		case refUUID:
			copy(before[:], d.take(16))
			r.event, known = storedID{uuid: before}, true
			d.bad = d.bad || !r.event.isUUID()
		case refNear:
			ms, n := milli(&before)+d.int(), d.uint()
			if !known || before[6]>>4 != 7 || ms < 0 || ms >= 1<<48 || n > 0xfff {
				d.bad = true
				return nil
			}
			binary.BigEndian.PutUint64(before[:8], uint64(ms)<<16|0x7000|n)
			r.event = storedID{uuid: before}
		case refText:
			r.event = storedID{text: d.text()}
		default:
			d.bad = true
		}
		r.pack, r.at = last.pack+d.int(), last.at+d.int()
		out, last = append(out, r), r
	}
	return out
}

// kept are the references that an alert of count events keeps of old ones and
// fresh ones, by number, a fresh one in the place of an old one; gone are the others.
func kept(old, fresh []reference, count int64) (keep, gone []reference) {
	for _, r := range old {
		if slices.ContainsFunc(fresh, func(f reference) bool { return f.seq == r.seq }) || !keeps(r.seq, count) {
			gone = append(gone, r)
			continue
		}
		keep = append(keep, r)
	}
	keep = append(keep, fresh...)
	slices.SortStableFunc(keep, func(x, y reference) int { return int(x.seq - y.seq) })
	return keep, gone
}

// keeps tells whether an alert of count events keeps that of a number.
func keeps(seq, count int64) bool { return seq <= halfEvents || seq > count-halfEvents }

// idText is an id as it is read: 16 bytes are a UUID.
func idText(b []byte, isText bool) string {
	if !isText && len(b) == 16 {
		return event.FormatUUID([16]byte(b))
	}
	return string(b)
}

// columnID reads an id of versions 5 and 6: 16 bytes of a UUID, or a text.
type columnID string

// Scan implements sql.Scanner.
func (s *columnID) Scan(v any) error {
	switch v := v.(type) {
	case []byte:
		*s = columnID(idText(v, false))
	case string:
		*s = columnID(v)
	default:
		return errRefs
	}
	return nil
}

// uuidRange is the first and the last UUID that begin as text; ok is false
// where none can.
func uuidRange(text string) (low, high [16]byte, ok bool) {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(text) > len(form) {
		return low, high, false
	}
	for i := range len(text) {
		if digit := strings.IndexByte("0123456789abcdef", text[i]) >= 0; digit != (form[i] == '0') || !digit && text[i] != '-' {
			return low, high, false
		}
	}
	low, _ = event.ParseUUID(text + form[len(text):])
	high, _ = event.ParseUUID(text + strings.ReplaceAll(form, "0", "f")[len(text):])
	return low, high, true
}
