package casebook

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// reference is one event under an alert: the number that it had there, and
// where its line lies.
type reference struct {
	seq      int64
	event    string
	pack, at int64
}

var errRefs = errors.New("the events of an alert are not written as they should be")

// appendRefs writes references as a row of alerts holds them: for each, as
// varints, its number times two, and one more where its id is text; the id, 16
// bytes or its length and its bytes; pack and line.
func appendRefs(dst []byte, refs []reference) []byte {
	for i := range refs {
		r := &refs[i]
		n := uint64(r.seq) << 1
		if u, ok := eventBytes(r.event).([]byte); ok {
			dst = append(binary.AppendUvarint(dst, n), u...)
		} else {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, n|1), uint64(len(r.event)))
			dst = append(dst, r.event...)
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.pack)), uint64(r.at))
	}
	return dst
}

// parseRefs reads what appendRefs wrote.
func parseRefs(b []byte) ([]reference, error) {
	var out []reference
	for len(b) > 0 {
		var r reference
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errRefs
		}
		b = b[k:]
		size := uint64(16)
		if n&1 != 0 {
			if size, k = binary.Uvarint(b); k <= 0 {
				return nil, errRefs
			}
			b = b[k:]
		}
		if size > uint64(len(b)) {
			return nil, errRefs
		}
		r.seq, r.event = int64(n>>1), string(b[:size])
		if n&1 == 0 {
			r.event = uuid(b[:16])
		}
		b = b[size:]
		for _, v := range []*int64{&r.pack, &r.at} {
			n, k := binary.Uvarint(b)
			if k <= 0 {
				return nil, errRefs
			}
			*v, b = int64(n), b[k:]
		}
		out = append(out, r)
	}
	return out, nil
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

// eventBytes is an id as it is stored: a UUID in 16 bytes.
func eventBytes(id string) any {
	if b, ok := uuidBytes(id); ok {
		return b
	}
	return id
}

func uuidBytes(id string) ([]byte, bool) {
	if len(id) != 36 {
		return nil, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	return b, err == nil && len(b) == 16 && uuid(b) == id
}

func uuid(b []byte) string {
	x := hex.EncodeToString(b)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// idText is an id as it is read: 16 bytes are a UUID.
func idText(b []byte, isText bool) string {
	if !isText && len(b) == 16 {
		return uuid(b)
	}
	return string(b)
}

// storedID reads an id that eventBytes wrote.
type storedID string

// Scan implements sql.Scanner.
func (s *storedID) Scan(v any) error {
	switch v := v.(type) {
	case []byte:
		*s = storedID(idText(v, false))
	case string:
		*s = storedID(v)
	default:
		return errRefs
	}
	return nil
}

// uuidRange is the first and the last UUID that begin as text; ok is false
// where none can.
func uuidRange(text string) (low, high []byte, ok bool) {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(text) > len(form) {
		return nil, nil, false
	}
	for i := range len(text) {
		if digit := strings.IndexByte("0123456789abcdef", text[i]) >= 0; digit != (form[i] == '0') || !digit && text[i] != '-' {
			return nil, nil, false
		}
	}
	low, _ = uuidBytes(text + form[len(text):])
	high, _ = uuidBytes(text + strings.ReplaceAll(form, "0", "f")[len(text):])
	return low, high, true
}
